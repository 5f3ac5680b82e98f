"""Views of stored runs for pages, read from the run folder while a master may be writing to it."""
