"""List of runs: pages, filters, busy and damaged runs, and near ones for an unknown id."""

from pathlib import Path

import pytest

from elastic.core.errors import StoreBusyError
from elastic.persistence.home import Home, new_run_id
from elastic.run_views.open_step import open_step
from elastic.run_views.run_list import RunFilter, RunList
from tests.run_views.stored_run_samples import BEGAN, RUN, Sample, changed, letter_of, locked, make_run


def many(home: Path, count: int) -> list[str]:
    """Store runs, each a minute after the one before, and return their ids, newest first."""
    ids = []
    for number in range(count):
        run_id = new_run_id(BEGAN + 60 * number, number.to_bytes(4, "big"))
        kind = number % 3
        letters = [letter_of(1)] if kind == 1 else []
        sample = Sample(
            chunks=2,
            name=("prices", "words", "clicks")[kind],
            letters=letters,
            state="error" if kind == 2 else "complete",
        )
        make_run(home, sample, run_id, began=BEGAN + 60 * number)
        ids.append(run_id)
    return ids[::-1]


def test_runs_are_paged_newest_first_without_gap_and_repetition(home: Path) -> None:
    ids = many(home, 12)
    runs, found, after = RunList(Home(home)), [], None
    while True:
        page = runs.page(RunFilter(), after=after, limit=5)
        found += [run.run_id for run in page.runs]
        after = page.after
        if after is None:
            break
    assert found == ids
    assert page.total == 12


def test_a_page_goes_on_after_a_run_that_was_deleted_meanwhile(home: Path) -> None:
    ids = many(home, 4)
    gone = new_run_id(BEGAN + 90, bytes(4))
    assert [run.run_id for run in RunList(Home(home)).page(RunFilter(), after=gone).runs] == ids[2:]


def test_filters_look_at_name_state_and_dead_letters(home: Path) -> None:
    many(home, 6)
    runs = RunList(Home(home))
    for wanted, names in (
        (RunFilter(text="WORD"), ["words", "words"]),
        (RunFilter(state="failed"), ["clicks", "clicks"]),
        (RunFilter(has_letters=True), ["words", "words"]),
        (RunFilter(state="complete", text="prices"), ["prices", "prices"]),
        (RunFilter(state="nonsense"), []),
        (RunFilter(text="nothing like it"), []),
    ):
        assert [run.name for run in runs.page(wanted).runs] == names, wanted


def test_a_damaged_run_is_listed_as_damaged(home: Path) -> None:
    folder = make_run(home)
    changed(folder / "run.sqlite", lambda data: data[:100] + bytes(2000) + data[2100:])
    [run] = RunList(Home(home)).page(RunFilter(state="damaged")).runs
    assert (run.run_id, run.state) == (RUN, "unreadable")
    assert run.error


def test_a_run_whose_file_is_locked_is_busy_and_not_damaged(home: Path) -> None:
    folder = make_run(home)
    runs = RunList(Home(home), busy_seconds=0.01)
    with locked(folder):
        [run] = runs.page(RunFilter(state="running")).runs
        assert (run.run_id, run.state) == (RUN, "busy")
        assert "kept it locked for 0.01 s; try again" in str(run.error)
        with pytest.raises(StoreBusyError), open_step(Home(home), RUN, 0, BEGAN, busy_seconds=0.01):
            pass
    assert runs.page(RunFilter()).runs[0].state == "complete"
    with (
        pytest.raises(StoreBusyError),
        open_step(Home(home), RUN, 0, BEGAN, busy_seconds=0.01) as step,
        locked(folder),
    ):
        step.reader.record(0)


def test_a_run_that_changes_is_read_again(home: Path) -> None:
    folder = make_run(home)
    runs = RunList(Home(home))
    assert runs.page(RunFilter()).runs[0].state == "complete"
    changed(folder / "run.sqlite", lambda data: b"x" * len(data))
    assert runs.page(RunFilter()).runs[0].state == "unreadable"


def test_an_empty_home_has_no_runs(home: Path) -> None:
    page = RunList(Home(home)).page(RunFilter())
    assert (page.runs, page.after, page.total) == ((), None, 0)


def test_near_runs_share_a_beginning_with_the_id(home: Path) -> None:
    ids = many(home, 8)
    runs = RunList(Home(home))
    assert runs.near(ids[3][:16])[0] == ids[3]
    assert runs.near(ids[3][:-1] + "0")[0] == ids[3]
    assert runs.near("nonsense") == runs.near("") == []
    assert runs.near(ids[0][:4]) == ids[:5]
    assert RunList(Home(home / "nowhere")).near("x") == []
