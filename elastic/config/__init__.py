"""Settings of the program, from where they were set to what they mean; and the masking of secrets."""
