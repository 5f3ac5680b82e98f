"""Metadata database: DAG runs, task instances, connections, variables and pools."""
