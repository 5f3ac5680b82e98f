"""Contracts that users and other packages implement."""
