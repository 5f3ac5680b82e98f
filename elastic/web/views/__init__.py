"""View models: from rows to the values that a template shows, without I/O."""
