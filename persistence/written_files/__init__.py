"""Files that flows write: their formats, the folders that hold them, and the publication of a folder."""
