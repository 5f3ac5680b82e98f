"""Stages of a chunk's way: sources, sender, receiver, worker, and the transports between them."""

if __name__ == "stages":
    raise ImportError("import elastic.stages, not stages: one file must not become two modules")
