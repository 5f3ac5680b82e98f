"""File formats that hooks read and write."""
