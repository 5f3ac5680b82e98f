"""What a run leaves on disk: commits, unfinished chunks, the lock of a run."""

if __name__ == "persistence":
    raise ImportError("import elastic.persistence, not persistence: one file must not become two modules")
