"""Example DAGs that `elastic dags init` copies into the DAG folder."""
