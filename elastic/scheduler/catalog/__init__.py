"""Catalog of the DAGs in the database, and signed bundles of their source."""
