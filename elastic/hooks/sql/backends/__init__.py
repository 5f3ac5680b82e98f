"""What differs between databases: how rows go in, what may be bound, how a connection is opened."""
