"""Ray: clusters, actors, nodes, and the transport that uses them."""
