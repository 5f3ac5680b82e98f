"""Files of results and spilled states."""
