"""Sources of tables: Parquet files, and frames in memory. Their chunks are Arrow tables."""
