"""Security of the web server: who asks, and what they may do."""
