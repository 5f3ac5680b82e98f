"""DAG files: loading them, their helper modules, and the bag of DAGs."""
