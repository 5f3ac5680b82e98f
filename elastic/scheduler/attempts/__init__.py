"""Attempts of task instances, in the processes that run them."""
