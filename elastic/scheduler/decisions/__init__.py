"""Decisions of the scheduler as pure code: what may run, and why something waits."""
