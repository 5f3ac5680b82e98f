"""A worker that takes far longer than the others does not hold up a step."""

from functools import partial
from pathlib import Path

import pytest

import elastic

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("embedded_ray")]


def wait_once(flag: str, number: int) -> int:
    if number == 150 and not Path(flag).exists():
        Path(flag).touch()
        while Path(flag).exists():
            pass
    return number


class Release(elastic.Interceptor):
    """Lets the straggler go when the step has ended without it."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def step_ended(self, progress: elastic.Progress, error: str | None) -> None:
        self.flag.unlink()


def test_the_second_copy_of_a_straggling_chunk_counts(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flow = elastic.from_range(200, chunk_size=10).map(partial(wait_once, str(flag))).aggregate("sum")
    result = flow.run(cluster="local", speculate_seconds=2, interceptor=Release(flag))
    assert result.value == sum(range(200))
    assert result.counters["chunks_speculated"] > 0
