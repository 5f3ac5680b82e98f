"""Parsing of DAG files: each file in a process of its own, with limits on time and memory."""
