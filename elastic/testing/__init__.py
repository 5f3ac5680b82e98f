"""For tests of flows: clusters to try them on."""

from elastic.testing.ray_cluster import RayCluster

__all__ = ["RayCluster"]
