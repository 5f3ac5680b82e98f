"""For tests: clusters to try flows on, and database servers to try hooks on."""

from elastic.testing.mariadb_server import MariaDbServer
from elastic.testing.postgres_server import PostgresServer
from elastic.testing.ray_cluster import RayCluster

__all__ = ["MariaDbServer", "PostgresServer", "RayCluster"]
