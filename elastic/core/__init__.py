"""Values and contracts that all other packages build on, without I/O."""
