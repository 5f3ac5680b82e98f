"""Pages: one module for each, with the routes of the page."""
