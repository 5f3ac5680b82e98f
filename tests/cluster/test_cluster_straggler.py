"""A worker that takes far longer than the others does not delay a step."""

import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

import elastic

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("embedded_ray")]


def wait_once(flag: str, number: int) -> int:
    if number == 150 and not Path(flag).exists():
        Path(flag).touch()
        while Path(flag).exists():
            time.sleep(0.01)
    return number


class Release(elastic.Interceptor):
    """Releases the straggler after the step has ended without it."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def step_ended(self, progress: elastic.Progress, error: str | None) -> None:
        self.flag.unlink()


def test_the_second_copy_of_a_straggling_chunk_counts(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flow = elastic.from_range(200, chunk_size=10).map(partial(wait_once, str(flag))).aggregate("sum")
    result = flow.run(cluster="local", speculation_timeout=2, interceptor=Release(flag))
    assert result.value == sum(range(200))
    assert result.counters["chunks_speculated"] > 0


def test_receipts_of_a_running_step_are_retried_by_a_second_worker(tmp_path: Path) -> None:
    class Receipts(elastic.Interceptor):
        def __init__(self) -> None:
            self.tokens: list[str] = []

        def distributed(self, receipt: elastic.Receipt, task_count: int) -> None:
            self.tokens.append(str(receipt))

    flag, seen = tmp_path / "flag", Receipts()
    flow = elastic.from_range(200, chunk_size=10).map(partial(wait_once, str(flag))).aggregate("sum")
    with elastic.StepQueue() as queue:
        queue.add(flow.options(cluster="local", speculation_timeout=1000, interceptor=[seen, Release(flag)]))
        while not flag.exists():  # until the straggler has begun
            with pytest.raises(TimeoutError):
                queue.wait(0.1)
        again = 0
        # Calls sent to the busy worker wait behind the straggler, until speculative copies of them are sent too.
        while queue.current_step_id is not None:
            with suppress(elastic.ElasticError):  # it has just ended
                again += queue.retry_distribution(seen.tokens)
            with suppress(TimeoutError):
                queue.wait(0.2)
        (result,) = queue.wait()
    assert again >= 1
    assert result.value == sum(range(200))
    assert result.counters["chunks_speculated"] >= 1
    with pytest.raises(elastic.ElasticError, match="no step is in progress"):
        queue.retry_distribution(seen.tokens)
