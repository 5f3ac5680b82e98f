"""Ray backend: nodes of a cluster, their actors, and the transport that uses them."""
