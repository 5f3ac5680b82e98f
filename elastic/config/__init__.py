"""Settings of the program, their sources, and the masking of secrets."""
