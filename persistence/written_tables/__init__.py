"""Records that a flow writes to a table of a database."""
