"""Spill files that cannot be written: nothing is lost or counted twice, and the run resumes once they can."""

import errno
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import elastic
from elastic.aggregators import Count
from elastic.aggregators.sharded import mapping_partitioner as divided_mapping
from elastic.core.errors import ElasticError, StepFailedError, StepSuspendedError, StoreError
from elastic.persistence.result_files.spill_files import FileSpillStore

KEYS = 500


def flow() -> elastic.Flow:
    return elastic.from_range(2000, chunk_size=40).map(lambda number: number % KEYS).aggregate(Count())


def full(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spill often."""
    monkeypatch.setattr(divided_mapping, "WINDOW_KEYS", 50)
    monkeypatch.setattr(divided_mapping, "HELD_KEYS", 150)


def fail_once(monkeypatch: pytest.MonkeyPatch, at: int, error: Exception) -> None:
    append, calls = FileSpillStore.append, list[int]()

    def failing(self: FileSpillStore, data: bytes) -> tuple[str, int]:
        calls.append(len(data))
        if len(calls) == at:
            raise error
        return append(self, data)

    monkeypatch.setattr(FileSpillStore, "append", failing)


@pytest.mark.parametrize("options", [{}, {"on_error": "skip"}, {"retries": 2}], ids=str)
@pytest.mark.parametrize(
    ("error", "ending"),
    [(MemoryError(), StepFailedError), (StoreError("the way to it is closed."), StepSuspendedError)],
    ids=["memory", "store"],
)
@pytest.mark.parametrize("at", [1, 2, 4])
def test_a_piece_that_is_not_left_once_is_not_missing_in_the_result(
    at: int, error: Exception, ending: type[ElasticError], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as context:
        fail_once(context, at, error)
        with pytest.raises(ending):
            flow().run(cluster="inline", shards=2, max_chunks_per_call=1, **options)
    resumed = elastic.resume("last", flow(), cluster="inline")
    assert dict(resumed.value) == Counter(number % KEYS for number in range(2000))
    assert elastic.verify(resumed.run_id, flow(), recompute=1.0).ok


def test_a_full_disk_suspends_the_run_and_leaves_no_file_open(monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_files()
    with monkeypatch.context() as context:
        context.setattr("elastic.persistence.result_files.spill_files.write_at", full)
        with pytest.raises(StepSuspendedError, match=r"cannot be written \(No space left on device\); free some space"):
            flow().run(cluster="inline", shards=2)
    assert open_files() == before
    assert dict(elastic.resume("last", flow(), cluster="inline").value) == dict.fromkeys(range(KEYS), 4)


def test_a_run_that_fails_leaves_no_file_open() -> None:
    def fragile(number: int) -> int:
        return 1 // (1500 - number)

    before = open_files()
    for _ in range(3):
        with pytest.raises(StepFailedError):
            elastic.from_range(2000, chunk_size=40).map(fragile).aggregate(Count()).run(
                cluster="inline", shards=2, collect_interval=1e-9
            )
    assert open_files() == before


@pytest.mark.cluster
def test_a_result_that_no_worker_can_write_is_not_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "counts.jsonl"

    def spoilt(number: int) -> int:
        if number == 0:
            for path in folder.iterdir():
                path.unlink()
        return number % KEYS

    spoiling = elastic.from_range(2000, chunk_size=40).map(spoilt).aggregate(Count())
    with pytest.raises(StepSuspendedError, match="no worker sees the run folder and the output folder"):
        spoiling.run(cluster="local", workers=2, shards=2, write_to=folder)
    assert dict(elastic.resume("last", spoiling, cluster="inline").value) == dict.fromkeys(range(KEYS), 4)
    assert sum(path.read_text().count("\n") for path in folder.glob("part-*")) == KEYS
