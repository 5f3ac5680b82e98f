"""Flows, the readers that begin them, and the loader of `module:flow`."""
