"""The stations of a chunk: sources, sender, receiver, worker, and the transports that join them."""

if __name__ == "stages":
    raise ImportError("import elastic.stages, not stages: one file must not become two modules")
