"""Commands for DAGs and their tasks."""
