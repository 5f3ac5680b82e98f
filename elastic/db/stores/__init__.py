"""Stores of the metadata database, one for each kind of row that users manage."""
