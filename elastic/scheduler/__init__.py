"""Scheduler: decides which task instances run, and runs them."""
