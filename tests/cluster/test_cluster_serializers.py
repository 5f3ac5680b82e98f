"""Modules that Ray imports for its serializers: workers import them only if user code does."""

import sys
from typing import Any

import pytest

import elastic

pytestmark = pytest.mark.cluster

LIBRARIES = ("pyarrow", "pydantic", "starlette")


def on_workers(function: Any) -> list[Any]:
    """Return the results of a function of a number on the workers of an embedded Ray."""
    flow = elastic.from_range(8, chunk_size=1).map(function).aggregate("collect")
    found: list[Any] = flow.run(cluster="local").value
    return found


def test_workers_import_no_library_that_the_program_does_not_use(embedded_ray: None) -> None:
    libraries = LIBRARIES
    assert on_workers(lambda _: [name for name in libraries if name in sys.modules]) == [[]] * 8


def test_a_slice_of_a_table_travels_without_the_rest_where_the_program_uses_arrow(embedded_ray: None) -> None:
    pa = pytest.importorskip("pyarrow")

    def size_of_slice(_: int) -> int:
        from ray import cloudpickle

        return len(cloudpickle.dumps(pa.table({"number": range(100_000)}).slice(0, 10)))

    assert max(on_workers(size_of_slice)) < 10_000
