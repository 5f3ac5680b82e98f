"""What a worker does with a chunk: pipeline, isolation of failing entries, heartbeat."""
