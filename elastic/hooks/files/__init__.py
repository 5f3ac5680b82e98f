"""Files behind paths and URLs."""
