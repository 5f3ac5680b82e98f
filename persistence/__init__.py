"""Files of a run: commits, unfinished chunks, results, spilled states and the lock."""

if __name__ == "persistence":
    raise ImportError("import elastic.persistence, not persistence: one file must not become two modules")
