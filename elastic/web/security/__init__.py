"""Security of the web server: authentication, sessions and rights."""
