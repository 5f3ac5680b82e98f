"""Commands of the scheduler service."""
