"""Files as sources: listing, opening, decoding and cutting them into chunks."""
