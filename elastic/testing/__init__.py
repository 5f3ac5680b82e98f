"""Test support: Ray clusters for flows, and database servers for hooks."""

from elastic.testing.mariadb_server import MariaDbServer
from elastic.testing.postgres_server import PostgresServer
from elastic.testing.ray_cluster import RayCluster

__all__ = ["MariaDbServer", "PostgresServer", "RayCluster"]
