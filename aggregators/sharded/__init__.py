"""Aggregation in shards: states that are partitioned by key, and results in files."""
