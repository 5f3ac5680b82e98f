"""Decisions of the scheduler as pure code: which instances may run, and why others wait."""
