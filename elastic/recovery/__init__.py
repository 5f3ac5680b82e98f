"""Recovery: resume a run, replay stored chunks, redrive dead letters."""
