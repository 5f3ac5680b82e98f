"""Transports between the master and the workers: in one process, with fault injection, and their parts."""
