"""File sources: listing, opening, decoding, and cutting files into chunks."""
