"""Writing of records to a sink, beside the aggregation of a result."""
