"""Commands for connections, variables, pools, the database and the configuration."""
