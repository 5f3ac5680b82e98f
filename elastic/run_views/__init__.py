"""Views of stored runs: what pages show of a run, read from its folder while a master may be at work on it."""
