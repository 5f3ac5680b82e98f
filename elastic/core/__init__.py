"""Values and contracts: what everything else is made of, without I/O."""
