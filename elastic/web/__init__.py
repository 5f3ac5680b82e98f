"""Web server: pages and an API that show and control the service. It never loads user code."""
