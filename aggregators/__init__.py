"""Aggregators: how the results of chunks become one result, one family a file."""

if __name__ == "aggregators":
    raise ImportError("import elastic.aggregators, not aggregators: one file must not become two modules")
