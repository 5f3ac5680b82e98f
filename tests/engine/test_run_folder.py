"""Files of a run: all that a resume needs, and no payload that is aggregated."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster_driver import inline_and_once_on_ray

import elastic
from elastic.aggregators import Sum
from elastic.core.errors import StepFailedError
from elastic.run_history import RunHistory


def numbers(count: int) -> Iterator[int]:
    yield from range(count)


def left_in(home: Path) -> list[str]:
    (run,) = (home / "runs").iterdir()
    return sorted(path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file())


@inline_and_once_on_ray("store", ["directory", "segment"])
def test_a_clean_run_leaves_no_payload(store: str, home: Path, cluster: str) -> None:
    flow = elastic.from_iterable(numbers(200), chunk_size=10).aggregate(Sum())
    result = flow.run(cluster=cluster, chunk_store=store)
    assert result.value == sum(range(200))
    assert set(left_in(home)) <= {"key", "lock", "run.sqlite", "run.sqlite-journal"}
    assert not (RunHistory.of_environment().run_folder(result.run_id) / "chunks").exists()
    (record,) = RunHistory.of_environment().steps(result.run_id)
    assert (record.state, record.error, record.exhausted, record.low) == ("complete", None, True, 20)
    assert record.counters["entries"] == 200


@pytest.mark.parametrize("store", ["segment", "directory"])
def test_a_failed_run_keeps_unfinished_chunks_and_its_error(store: str, home: Path) -> None:
    def bad(number: int) -> float:
        return 1 / (number - 150)

    flow = elastic.from_iterable(numbers(200), chunk_size=10).map(bad).aggregate(Sum())
    with pytest.raises(StepFailedError) as caught:
        # Collected after each call, so that some chunks are folded before the failure.
        flow.run(cluster="inline", chunk_store=store, max_chunks_in_flight=4, max_chunks_per_call=1)
    history = RunHistory.of_environment()
    (record,) = history.steps(caught.value.run_id)
    assert record.state == "error"
    assert record.error == str(caught.value)
    assert 0 < record.counters["aggregated"] <= 15
    kept = [name for name in left_in(home) if name.startswith("chunks/")]
    assert kept
    if store == "directory":
        unfinished = {history.decode(Path(name).name)["chunk_id"] for name in kept}
        assert unfinished == set(range(record.counters["aggregated"], record.counters["sent"]))


def test_a_run_that_cannot_begin_leaves_nothing(home: Path, tmp_path: Path) -> None:
    hopeless: list[tuple[Any, dict[str, Any]]] = [
        (elastic.read_text(tmp_path / "nowhere.txt"), {"cluster": "inline"}),
        (elastic.read_text(tmp_path / "*.txt"), {"cluster": "inline"}),
        (elastic.read_text(tmp_path), {"cluster": "inline"}),
        (elastic.from_range(5), {"cluster": "moon"}),
    ]
    for flow, options in hopeless:
        with pytest.raises(elastic.ElasticError):
            flow.run(**options)
    assert list(home.iterdir()) == []


def test_a_run_is_stored_in_the_given_home(home: Path, tmp_path: Path) -> None:
    run_id = elastic.from_range(5).run(cluster="inline", home=tmp_path / "elsewhere").run_id
    assert (tmp_path / "elsewhere" / "runs" / run_id / "run.sqlite").is_file()
    assert list(home.iterdir()) == []


def test_a_home_that_is_a_file_is_reported_in_one_sentence(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("")
    with pytest.raises(elastic.ElasticError, match="file"):
        elastic.from_range(5).run(cluster="inline", home=place)


def test_two_runs_in_two_threads_do_not_meet(home: Path) -> None:
    results: dict[int, elastic.Result] = {}
    together = threading.Barrier(2)

    def run(factor: int) -> None:
        def times(number: int) -> int:
            return number * factor

        together.wait()
        flow = elastic.from_range(3_000, chunk_size=3).map(times).aggregate(Sum())
        results[factor] = flow.run(cluster="inline")

    threads = [threading.Thread(target=run, args=(factor,)) for factor in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {factor: result.value for factor, result in results.items()} == {
        2: 2 * sum(range(3_000)),
        3: 3 * sum(range(3_000)),
    }
    assert len(list((home / "runs").iterdir())) == 2
