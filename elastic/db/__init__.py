"""The metadata database: what runs, what ran, and how other systems are reached."""
