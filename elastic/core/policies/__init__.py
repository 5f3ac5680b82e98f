"""Policies as values: tuning, errors, injected faults, worker starts."""
