"""Figures of a step, from its record and the live view of its master."""

from dataclasses import replace
from pathlib import Path

import pytest

from elastic.core.model.live_view import LiveSpan
from elastic.persistence.run_store.live_file import write_live
from elastic.run_views.step_view import StepView, live_sign, step_view
from tests.run_views.stored_run_samples import BEGAN, KEY, Sample, changed, letter_of, live_of, make_run, opened


def view(folder: Path, now: float) -> StepView:
    reader, record = opened(folder)
    try:
        return step_view(reader, record, live_sign(reader, record, now), now)
    finally:
        reader.close()


def test_a_complete_step_shows_its_totals_and_its_mean_rate(home: Path) -> None:
    letters = [letter_of(1), letter_of(2)]
    sample = Sample(chunks=16, failed={1: 1, 2: 1}, letters=letters, redriven=((2, 0),), resent=(5,))
    found = view(make_run(home, sample), BEGAN + 100)
    assert (found.aggregated, found.total, found.share, found.entries) == (16, 16, 1.0, 46)
    assert (found.failed, found.letters, found.redriven, found.resent) == (2, 1, 1, 1)
    assert (found.seconds, found.chunks_per_second, found.seconds_left) == (8.0, 2.0, None)
    assert [count for _, count in found.stations] == [16] * 6
    assert [(worker.worker_id, worker.chunks) for worker in found.workers] == [("node-1/0", 8), ("node-2/0", 8)]
    assert found.is_complete


def test_a_running_step_shows_its_rate_and_the_time_left(home: Path) -> None:
    folder = make_run(home, Sample(chunks=40, state="in_progress", counters={"cut": 40}))
    live = replace(
        live_of(LiveSpan(0, 60, "aggregated", None, 1), cut=70, expected=100),
        counters={"aggregated": 60, "entries": 500, "sent": 65},
        chunks_per_second=8.0,
    )
    write_live(folder, KEY, 0, live)
    found = view(folder, BEGAN + 1)
    assert (found.aggregated, found.total, found.entries, found.seconds_left) == (60, 100, 500, 5.0)
    assert (found.is_running, found.is_growing, found.sign.is_fresh) == (True, False, True)
    assert dict(found.stations)["sent"] == 65


def test_a_stale_view_is_no_sign_of_a_master(home: Path) -> None:
    folder = make_run(home, Sample(chunks=40, state="in_progress"))
    write_live(folder, KEY, 0, replace(live_of(cut=70, expected=100), chunks_per_second=8.0))
    found = view(folder, BEGAN + 60)
    assert (found.sign.is_fresh, found.sign.age, found.seconds_left) == (False, 60.0, None)


def test_a_damaged_live_file_is_named_and_the_record_is_shown(home: Path) -> None:
    folder = make_run(home, Sample(chunks=40, state="in_progress"))
    write_live(folder, KEY, 0, live_of(cut=70))
    changed(folder / "live", lambda data: data[:-3])
    found = view(folder, BEGAN)
    assert "live is damaged" in found.sign.damage
    assert (found.aggregated, found.total) == (40, 40)


def test_a_step_that_ended_ignores_a_live_file_that_was_left(home: Path) -> None:
    folder = make_run(home, Sample(chunks=4))
    write_live(folder, KEY, 0, live_of(cut=70, expected=100))
    found = view(folder, BEGAN)
    assert (found.total, found.sign.view) == (4, None)


@pytest.mark.parametrize("state", ["error", "interrupted", "suspended"])
def test_an_unfinished_step_keeps_its_state_and_its_error(home: Path, state: str) -> None:
    found = view(make_run(home, Sample(chunks=4, state=state, error="the disk is full")), BEGAN + 9)
    assert (found.is_running, found.is_complete, found.record.error) == (False, False, "the disk is full")


def test_an_empty_step_has_a_share_of_one(home: Path) -> None:
    found = view(make_run(home, Sample(chunks=0)), BEGAN + 9)
    assert (found.share, found.total, found.workers) == (1.0, 0, ())


def test_a_clock_that_was_set_back_gives_no_negative_time(home: Path) -> None:
    found = view(make_run(home, Sample(state="in_progress")), BEGAN - 50)
    assert found.seconds == 0.0
