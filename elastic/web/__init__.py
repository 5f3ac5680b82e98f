"""Web server: pages and an API that show and steer the service. It never loads user code."""
