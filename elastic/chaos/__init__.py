"""Chaos tests: a flow runs under injected faults, and its result is compared with a clean run."""
