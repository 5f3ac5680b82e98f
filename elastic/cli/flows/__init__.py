"""Commands for flows and their runs."""
