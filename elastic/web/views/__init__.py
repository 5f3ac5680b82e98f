"""View models: convert rows to the values of a template, without I/O."""
