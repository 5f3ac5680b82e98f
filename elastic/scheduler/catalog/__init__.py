"""The catalog of DAGs that the database knows, and signed bundles of their source."""
