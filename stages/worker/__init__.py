"""Worker of a chunk: pipeline, bisection of failing entries, heartbeat."""
