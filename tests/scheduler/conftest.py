"""Tests of the scheduler start many processes. Without a connection to Ray they are forked, which is faster."""

import sys

import pytest


@pytest.fixture(autouse=True)
def _without_ray(request: pytest.FixtureRequest) -> None:
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized() and "embedded_ray" not in request.fixturenames:
        ray.shutdown()
