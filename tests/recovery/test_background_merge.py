"""States merged in a background thread: the same answers, and only merged states are committed."""

import threading
from pathlib import Path
from typing import Any

import pytest
from resume_samples import STORIES, begin, go_on, plain

import elastic
from elastic.aggregators import Count, Emit
from elastic.core.contracts.store import Commit
from elastic.core.errors import EncodingError, StepFailedError
from elastic.engine import aggregation, master
from elastic.persistence.run_store.sqlite_store import SqliteRunStore

ALL_OF_IT: dict[str, Any] = {
    "cluster": "inline",
    "collect_interval": 1e-9,
    "target_call_seconds": 1e-9,
    "commit_interval": 1e-9,
    "max_chunks_in_flight": 4,
}


@pytest.fixture(autouse=True)
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregation, "_BACKGROUND_MERGE_BYTES", 1)


class Watched(Count):
    """Records the threads that merge, and fails once at a given call."""

    def merge_encoded(self, state: Any, data: bytes) -> Any:
        THREADS.append(threading.current_thread().name)
        if len(THREADS) == 9 and ERRORS:
            raise ERRORS.pop()
        return super().merge_encoded(state, data)


THREADS: list[str] = []
ERRORS: list[BaseException] = []

FLOW = elastic.from_range(2_000, chunk_size=10).map(str).aggregate(Watched())
ANSWER = dict.fromkeys(map(str, range(2_000)), 1)


@pytest.mark.parametrize("story", sorted(STORIES))
def test_the_answers_are_the_same(story: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Folders of their own, because a written folder or table holds the records of one run.
    folders = [tmp_path / "beside", tmp_path / "at-once"]
    for folder in folders:
        folder.mkdir()
    beside = begin(story, folders[0])
    monkeypatch.setattr(aggregation, "_BACKGROUND_MERGE_BYTES", 1 << 30)
    at_once = begin(story, folders[1])
    assert plain(beside.value) == plain(at_once.value)
    assert (beside.root, beside.receipts, beside.entries) == (at_once.root, at_once.receipts, at_once.entries)
    assert elastic.verify(beside.run_id, home=folders[0] / "home").ok


def test_another_thread_merges() -> None:
    THREADS.clear()
    assert FLOW.run(**ALL_OF_IT).value == ANSWER
    assert set(THREADS) == {"aggregation_0"}


def test_what_acts_when_it_is_merged_does_so_in_the_thread_of_the_run() -> None:
    THREADS.clear()
    emit = Emit(lambda _: THREADS.append(threading.current_thread().name))
    elastic.from_range(200, chunk_size=10).aggregate(emit).run(**ALL_OF_IT)
    assert set(THREADS) == {threading.current_thread().name}


def test_an_aggregator_that_acts_while_merging_gets_all_states() -> None:
    class Handed(Emit):
        by_reference = True

    received: list[Any] = []
    elastic.from_range(200, chunk_size=10).aggregate(Handed(received.extend)).run(**ALL_OF_IT)
    assert sorted(received) == list(range(200))


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(2), EncodingError("not a state")])
def test_an_error_of_the_thread_ends_the_step_and_the_run_goes_on_from_what_was_merged(
    error: BaseException, tmp_path: Path
) -> None:
    THREADS.clear()
    ERRORS.append(error)
    with pytest.raises((StepFailedError, EncodingError), match=str(error)):
        FLOW.run(**ALL_OF_IT, home=tmp_path)
    assert not ERRORS
    assert elastic.resume("last", FLOW, cluster="inline", home=tmp_path, allow_code_change=True).value == ANSWER
    assert elastic.verify("last", home=tmp_path).ok


def test_a_run_that_is_stopped_while_much_is_merged_goes_on(tmp_path: Path) -> None:
    class Stop(elastic.Interceptor):
        def aggregated(self, receipt: elastic.Receipt, task_count: int) -> None:
            if task_count > 20:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begin("words", tmp_path, interceptor=Stop, max_chunks_in_flight=4)
    result, again = go_on("words", tmp_path)
    assert again > 0
    assert plain(result.value) == plain(STORIES["words"](tmp_path).run(cluster="inline").value)


class Slow(Count):
    """Merges for a given time; the first state is decoded."""

    def merge_encoded(self, state: Any, data: bytes) -> Any:
        MERGING.set()
        GO_ON.wait(SECONDS["merge"])
        return super().merge_encoded(state, data)


MERGING, GO_ON, SECONDS = threading.Event(), threading.Event(), {"merge": 5.0}


def test_ctrl_c_waits_for_no_merge(tmp_path: Path) -> None:
    class Stop(elastic.Interceptor):
        def aggregated(self, receipt: elastic.Receipt, task_count: int) -> None:
            if MERGING.is_set():
                raise KeyboardInterrupt

    MERGING.clear()
    GO_ON.clear()
    flow = elastic.from_range(2_000, chunk_size=10).map(str).aggregate(Slow())
    try:
        with pytest.raises(KeyboardInterrupt):
            flow.run(**ALL_OF_IT, home=tmp_path, interceptor=Stop)
        assert not GO_ON.is_set()
    finally:
        GO_ON.set()
    assert elastic.resume("last", flow, cluster="inline", home=tmp_path).value == ANSWER


class Finishing(Count):
    """Records when it makes a result, and fails there if the test asks for it."""

    def finish(self, state: Any) -> Any:
        THREADS.append(threading.current_thread().name)
        FINISHING.set()
        if ERRORS:
            raise ERRORS.pop()
        return super().finish(state)


FINISHING = threading.Event()

FINISHED = elastic.from_range(2_000, chunk_size=10).map(str).aggregate(Finishing())


def test_the_result_is_made_while_the_last_commit_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    THREADS.clear()
    FINISHING.clear()
    waited: list[bool] = []
    commit = SqliteRunStore.commit

    def late(store: SqliteRunStore, step: int, what: Commit) -> None:
        if what.low == 200:
            waited.append(FINISHING.wait(30))
        commit(store, step, what)

    monkeypatch.setattr(SqliteRunStore, "commit", late)
    # Only the last commit, because others would wait for a result that is not started.
    assert FINISHED.run(**ALL_OF_IT | {"commit_interval": 3600}, home=tmp_path).value == ANSWER
    assert waited == [True]
    assert THREADS == ["aggregation_0"]
    assert elastic.verify("last", home=tmp_path).ok


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(2)])
def test_a_result_that_fails_is_reported_after_the_last_commit(error: BaseException, tmp_path: Path) -> None:
    ERRORS.append(error)
    with pytest.raises(StepFailedError, match=f"failed in finish on the result: {type(error).__name__}: {error}"):
        FINISHED.run(**ALL_OF_IT, home=tmp_path)
    again: list[elastic.Receipt] = []

    class Again(elastic.Interceptor):
        def send(self, host_node: str, to: str, action: str, receipt: elastic.Receipt) -> None:
            again.append(receipt)

    # The exception counts as code in the fingerprint.
    options = {"cluster": "inline", "home": tmp_path, "interceptor": Again, "allow_code_change": True}
    assert elastic.resume("last", FINISHED, **options).value == ANSWER
    assert not again


def test_what_comes_as_fast_as_it_is_merged_is_committed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(master, "_MAX_COMMIT_DELAY", 0.05)
    # One slow commit would cause a pause as long as many merges.
    monkeypatch.setattr(master, "_COMMIT_PAUSE_RATIO", 0)
    monkeypatch.setitem(SECONDS, "merge", 0.02)
    GO_ON.clear()
    kept: list[int] = []
    commit = SqliteRunStore.commit
    monkeypatch.setattr(
        SqliteRunStore, "commit", lambda store, step, what: (kept.append(len(what.partials)), commit(store, step, what))
    )
    flow = elastic.from_range(2_000, chunk_size=5).map(str).aggregate(Slow())
    assert flow.run(**ALL_OF_IT).value == ANSWER
    assert max(kept) < sum(kept) / 3, "without waiting all but some of the first are kept at the end"


def test_the_result_so_far_is_that_of_all_that_was_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(master, "_PROGRESS_INTERVAL", 0.01)
    seen: list[tuple[int, int]] = []
    queue = elastic.StepQueue()

    class Look(elastic.Interceptor):
        def progressed(self, progress: elastic.Progress) -> None:
            seen.append((10 * progress.aggregated_chunks, queue.value().total()))

    GO_ON.clear()
    monkeypatch.setitem(SECONDS, "merge", 0.02)
    flow = elastic.from_range(500, chunk_size=10).map(str).aggregate(Slow())
    queue.add(flow.options(**ALL_OF_IT, interceptor=Look))
    (result,) = queue.wait()
    assert result.value.total() == 500
    assert seen
    assert all(aggregated == counted for aggregated, counted in seen)
