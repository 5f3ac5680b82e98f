"""The master and what composes a run."""
