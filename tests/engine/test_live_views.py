"""Live views of a running step: published while somebody looks, and never after."""

import time
from pathlib import Path

import elastic
from elastic.aggregators import Sum
from elastic.core.model.live_view import LiveView
from elastic.core.model.step import Progress
from elastic.persistence.run_store.inspection import RunReader
from elastic.persistence.run_store.live_file import read_live, watch


class Spy(elastic.Interceptor):
    """Interceptor that reads the live view of its run at each report of progress."""

    def __init__(self, home: Path, *, looks: bool) -> None:
        self.home, self.looks = home, looks
        self.views: list[LiveView] = []
        self.files: set[str] = set()

    def step_started(self, progress: Progress) -> None:
        if self.looks:
            watch(self.home / "runs" / progress.run_id, time.time())

    def progressed(self, progress: Progress) -> None:
        folder = self.home / "runs" / progress.run_id
        self.files |= {path.name for path in folder.iterdir()}
        reader = RunReader.read(folder)
        try:
            view = read_live(folder, reader.key, 0)
        finally:
            reader.close()
        if view is not None:
            self.views.append(view)


def slow(number: int) -> int:
    time.sleep(0.3)
    return number


def run_with(spy: Spy) -> elastic.Result:
    flow = elastic.from_iterable(range(6), chunk_size=1).map(slow).aggregate(Sum())
    return flow.run(cluster="inline", interceptor=spy, max_chunks_in_flight=2, max_chunks_per_call=1)


def test_a_watched_step_publishes_where_its_chunks_are(home: Path) -> None:
    spy = Spy(home, looks=True)
    result = run_with(spy)
    assert result.value == sum(range(6))
    assert spy.views
    view = spy.views[-1]
    assert view.expected_chunks == 6
    assert 0 < view.cut_chunks <= 6
    assert {span.stage for span in view.spans} <= {"sent", "processed", "aggregated"}
    assert view.spans
    assert max(span.stop for span in view.spans) <= view.cut_chunks
    assert view.counters["sent"] >= view.counters["aggregated"]
    assert not (home / "runs" / result.run_id / "live").exists()


def test_a_step_at_which_nobody_looks_writes_nothing(home: Path) -> None:
    spy = Spy(home, looks=False)
    assert run_with(spy).value == sum(range(6))
    assert spy.views == []
    assert not spy.files & {"live", "live.new", "watched"}
