"""Scheduler service: masters that make due runs, parse DAG files and run tasks, until they are stopped."""
