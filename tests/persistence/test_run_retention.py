"""Old runs are deleted whole, and no run that is in use, can be resumed, or holds dead letters."""

import datetime as dt
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import elastic
from elastic import Interceptor, Receipt, StoredRun
from elastic.core.errors import ElasticError, RunLockedError, StoreError, UnknownRunError, UsageError
from elastic.persistence.home import Home, new_run_id
from elastic.persistence.run_retention import RetentionPolicy, prune
from elastic.persistence.run_store.lock import RunLock
from elastic.persistence.run_store.sqlite_store import SqliteRunStore
from elastic.run_history import RunHistory

#: A day on which every run of these tests is old.
LATER = dt.datetime.now(dt.UTC) + dt.timedelta(days=1000)
ALL = RetentionPolicy(keep=dt.timedelta(0))


def complete(**options: Any) -> str:
    return elastic.from_range(10, chunk_size=3).aggregate("sum").run(cluster="inline", **options).run_id


def failed() -> str:
    with pytest.raises(ElasticError):
        elastic.from_iterable([0]).map(lambda n: 1 / n).run(cluster="inline", name="bad")
    return elastic.runs(limit=1)[0].run_id


def with_dead_letters() -> str:
    flow = elastic.from_iterable([1, 0]).map(lambda n: 1 / n).aggregate("sum")
    return flow.run(cluster="inline", on_error="dead-letter").run_id


def killed() -> str:
    class Killer(Interceptor):
        def aggregated(self, receipt: Receipt, task_count: int) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        quick = {"max_chunks_per_call": 2, "commit_interval": 1e-9, "collect_interval": 1e-9}
        elastic.from_range(300, chunk_size=10).aggregate("sum").run(cluster="inline", interceptor=Killer, **quick)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    return elastic.runs(limit=1)[0].run_id


def with_state(state: str) -> str:
    run_id = complete()
    store = SqliteRunStore.open(folder_of(run_id))
    store.end(0, state, 1.0, "a reason")
    store.close()
    return run_id


def folder_of(run_id: str) -> Path:
    return RunHistory.of_environment().run_folder(run_id)


def names_in(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "runs").iterdir())


def stored() -> set[str]:
    return {run.run_id for run in elastic.runs()}


def prune_all(home: Path, **given: Any) -> Any:
    return prune(Home(home), ALL, now=LATER, **given)


# -- what is listed


def test_a_run_is_listed_with_its_facts() -> None:
    before = dt.datetime.now(dt.UTC)
    run_id = complete(name="numbers")
    (run,) = elastic.runs()
    assert isinstance(run, StoredRun)
    assert (run.run_id, run.name, run.state, run.steps) == (run_id, "numbers", "complete", 1)
    assert (run.entries, run.chunks, run.dead_letters, run.error) == (10, 4, 0, None)
    assert run.started_at is not None
    assert run.ended_at is not None
    assert before <= run.started_at <= run.ended_at <= dt.datetime.now(dt.UTC)
    files = [path for path in folder_of(run_id).rglob("*") if path.is_file()]
    assert run.bytes == sum(path.stat().st_size for path in files) > 0
    assert run.is_complete
    assert str(run) == f"run {run_id} 'numbers': complete, 10 entries, {run.bytes:,} bytes"


def test_runs_are_listed_the_newest_first_and_only_as_many_as_wanted() -> None:
    ids = [complete() for _ in range(3)]
    assert [run.run_id for run in elastic.runs()] == sorted(ids, reverse=True)
    assert [run.run_id for run in elastic.runs(limit=2)] == sorted(ids, reverse=True)[:2]
    assert elastic.runs(limit=0) == []
    for limit in (-1, 1.5, math.nan, True, "1"):
        with pytest.raises(UsageError, match=r"limit=.* must be a whole number from 0"):
            elastic.runs(limit=limit)  # type: ignore[arg-type]


def test_a_queue_is_one_run_and_the_sum_of_its_steps() -> None:
    with elastic.StepQueue() as queue:
        for count in (3, 5):
            queue.add(elastic.from_range(count).aggregate("sum").options(cluster="inline"))
    (run,) = elastic.runs()
    assert (run.run_id, run.steps, run.entries, run.state) == (queue.run_id, 2, 8, "complete")


def test_a_run_that_cannot_be_read_is_listed_with_the_reason() -> None:
    run_id = complete()
    (folder_of(run_id) / "run.sqlite").write_bytes(b"no database" * 99)
    (run,) = elastic.runs()
    assert (run.run_id, run.state, run.is_complete) == (run_id, "unreadable", False)
    assert run.error
    assert run.bytes > 0


def test_bytes_behind_a_link_are_not_those_of_the_run(tmp_path: Path) -> None:
    run_id = complete()
    before = elastic.runs()[0].bytes
    (tmp_path / "large").write_bytes(bytes(10**6))
    (folder_of(run_id) / "link").symlink_to(tmp_path / "large")
    (folder_of(run_id) / "folder").symlink_to(tmp_path)
    assert before < elastic.runs()[0].bytes < before + 10_000


# -- what a prune deletes


def test_old_complete_runs_go_and_the_newest_stay(home: Path) -> None:
    ids = sorted(complete() for _ in range(4))
    pruned = prune(Home(home), RetentionPolicy(keep_last=1), now=LATER)
    assert [run.run_id for run in pruned.deleted] == ids[2::-1]
    assert pruned.bytes == sum(run.bytes for run in pruned.deleted) > 0
    assert stored() == {ids[3]}
    assert names_in(home) == [ids[3]]


def test_a_run_stays_if_it_is_young_or_among_the_last(home: Path) -> None:
    ids = {complete() for _ in range(3)}
    both = RetentionPolicy(keep=dt.timedelta(days=30), keep_last=1)
    assert prune(Home(home), both, now=dt.datetime.now(dt.UTC)).deleted == ()
    assert stored() == ids
    assert prune(Home(home), RetentionPolicy(keep_last=3), now=LATER).deleted == ()
    assert len(prune(Home(home), both, now=LATER).deleted) == 2
    assert stored() == {max(ids)}


def test_the_age_counts_from_the_end_of_a_run(home: Path) -> None:
    run_id = complete()
    store = SqliteRunStore.open(folder_of(run_id))
    store.end(0, "complete", (LATER - dt.timedelta(days=2)).timestamp())
    store.close()
    assert prune(Home(home), RetentionPolicy(keep=dt.timedelta(days=3)), now=LATER).deleted == ()
    assert len(prune(Home(home), RetentionPolicy(keep=dt.timedelta(days=1)), now=LATER).deleted) == 1


def test_a_dry_run_deletes_nothing_and_says_the_same(home: Path) -> None:
    complete()
    planned = prune_all(home, dry_run=True)
    assert len(elastic.runs()) == 1
    done = prune_all(home)
    assert done.deleted == planned.deleted
    assert str(planned) == f"would delete 1 run, {planned.bytes:,} bytes"
    assert str(done) == f"deleted 1 run, {planned.bytes:,} bytes"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (failed, "it ended in error and can be resumed"),
        (killed, "it is in progress and can be resumed"),
        (lambda: with_state("suspended"), "it is suspended and can be resumed"),
        (lambda: with_state("interrupted"), "it is interrupted and can be resumed"),
        (with_dead_letters, "it holds 1 dead letter that is not redriven"),
    ],
    ids=["failed", "killed", "suspended", "interrupted", "dead letters"],
)
def test_a_run_that_may_be_needed_stays_until_it_is_forced(make: Any, reason: str, home: Path) -> None:
    run_id = make()
    for dry_run in (True, False):
        pruned = prune_all(home, dry_run=dry_run)
        assert pruned.deleted == ()
        assert [(kept.run.run_id, kept.reason) for kept in pruned.kept] == [(run_id, reason)]
    with pytest.raises(UsageError, match=f"run {run_id} was not deleted, because {reason}; give --force"):
        elastic.delete_runs(run_id)
    assert stored() == {run_id}
    assert [run.run_id for run in elastic.delete_runs(run_id, force=True)] == [run_id]
    assert stored() == set()


def test_a_redriven_run_goes(home: Path) -> None:
    run_id = with_dead_letters()
    elastic.redrive(run_id, elastic.from_iterable([1, 0]).map(lambda n: n).aggregate("sum"), cluster="inline")
    assert [run.run_id for run in prune_all(home).deleted] == [run_id]


def test_a_damaged_run_stays_until_it_is_forced(home: Path) -> None:
    run_id = complete()
    (folder_of(run_id) / "run.sqlite").write_bytes(b"no database" * 99)
    assert [kept.reason for kept in prune_all(home).kept] == ["it cannot be read"]
    elastic.delete_runs(run_id, force=True)
    assert stored() == set()


def test_a_run_without_a_step_stays_until_it_is_forced(home: Path) -> None:
    run_id = new_run_id(1e9, b"abcd")
    SqliteRunStore.create(folder_of(run_id), run_id, bytes(32)).close()
    assert elastic.runs()[0].state == "not_begun"
    assert prune_all(home).deleted == ()
    elastic.delete_runs(run_id, force=True)
    assert stored() == set()


def test_a_folder_of_a_run_that_is_just_being_created_is_not_touched(home: Path) -> None:
    folder = folder_of(new_run_id(1e9, b"abcd"))
    folder.mkdir(parents=True)
    assert prune_all(home).deleted == ()
    assert folder.is_dir()
    with pytest.raises(UnknownRunError):
        elastic.delete_runs(folder.name, force=True)


def test_a_run_that_a_process_works_on_stays_even_if_it_is_forced(home: Path) -> None:
    run_id = complete()
    lock = RunLock(folder_of(run_id), run_id)
    try:
        holder = f"process {os.getpid()} on {socket.gethostname()}"
        assert [kept.reason for kept in prune_all(home).kept] == [f"{holder} works on it"]
        with pytest.raises(RunLockedError, match=holder):
            elastic.delete_runs(run_id, force=True)
    finally:
        lock.release()
    assert stored() == {run_id}
    assert len(prune_all(home).deleted) == 1


def test_a_lock_that_a_dead_process_left_protects_nothing(home: Path) -> None:
    run_id = complete()
    (folder_of(run_id) / "lock").write_text("process 1 on elsewhere")
    assert [run.run_id for run in prune_all(home).deleted] == [run_id]


def test_a_run_in_progress_on_another_host_stays(home: Path) -> None:
    run_id = with_state("in_progress")
    (folder_of(run_id) / "lock").write_text("process 7 on elsewhere")
    assert prune_all(home).deleted == ()
    assert (folder_of(run_id) / "lock").read_text() == "process 7 on elsewhere"


def test_a_run_that_is_being_run_is_not_deleted_by_another_process(home: Path) -> None:
    code = (
        "import datetime as dt, sys\n"
        "from pathlib import Path\n"
        "from elastic.persistence.home import Home\n"
        "from elastic.persistence.run_retention import RetentionPolicy, prune\n"
        "later = dt.datetime.now(dt.UTC) + dt.timedelta(days=1000)\n"
        "print(prune(Home(Path(sys.argv[1])), RetentionPolicy(keep=dt.timedelta(0)), now=later).deleted)\n"
    )
    said: list[str] = []

    class Pruner(Interceptor):
        def step_started(self, progress: Any) -> None:
            done = subprocess.run(
                [sys.executable, "-c", code, str(home)], capture_output=True, text=True, timeout=100, check=True
            )
            said.append(done.stdout)

    assert elastic.from_range(10).aggregate("sum").run(cluster="inline", interceptor=Pruner).value == 45
    assert said == ["()\n"]
    assert len(elastic.runs()) == 1


# -- crashes and links


def test_a_crash_in_the_middle_leaves_no_half_run_and_the_next_prune_removes_the_rest(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = complete()
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(shutil, "rmtree", lambda path: os.kill(os.getpid(), signal.SIGKILL))
        prune_all(home)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert elastic.runs() == []
    with pytest.raises(UnknownRunError):
        elastic.delete_runs(run_id)
    (left,) = (home / "runs").iterdir()
    assert run_id in left.name
    other = complete()
    assert stored() == {other}
    planned = prune(Home(home), RetentionPolicy(keep_last=1), now=LATER, dry_run=True)
    assert planned.leftover_bytes > 0
    assert left.is_dir()
    pruned = prune(Home(home), RetentionPolicy(keep_last=1), now=LATER)
    assert (pruned.deleted, pruned.leftover_bytes) == ((), planned.leftover_bytes)
    assert names_in(home) == [other]
    assert f"{planned.leftover_bytes:,} bytes left by earlier deletions" in str(pruned)


def test_links_in_a_run_are_removed_and_not_followed(home: Path, tmp_path: Path) -> None:
    run_id = complete()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "data").write_text("keep me")
    (folder_of(run_id) / "folder").symlink_to(tmp_path / "precious")
    (folder_of(run_id) / "file").symlink_to(tmp_path / "precious" / "data")
    (folder_of(run_id) / "dangling").symlink_to(tmp_path / "nowhere")
    (home / "runs" / ".deleted-old").symlink_to(tmp_path / "precious")
    assert len(prune_all(home).deleted) == 1
    assert (tmp_path / "precious" / "data").read_text() == "keep me"
    assert names_in(home) == []


def test_a_run_that_is_a_link_is_never_deleted(home: Path, tmp_path: Path) -> None:
    run_id = complete()
    folder_of(run_id).rename(tmp_path / "moved")
    folder_of(run_id).symlink_to(tmp_path / "moved")
    lock = (tmp_path / "moved" / "lock").read_bytes()
    assert [kept.reason for kept in prune_all(home).kept] == ["its folder is a link"]
    for force in (False, True):
        with pytest.raises(StoreError, match="is a link; remove the link, and its target, by hand"):
            elastic.delete_runs(run_id, force=force)
    assert (tmp_path / "moved" / "run.sqlite").is_file()
    assert (tmp_path / "moved" / "lock").read_bytes() == lock


def test_other_files_in_the_folder_of_runs_stay(home: Path) -> None:
    complete()
    (home / "runs" / "notes.txt").write_text("mine")
    (home / "runs" / "20261120").mkdir()
    prune_all(home)
    assert names_in(home) == ["20261120", "notes.txt"]


def test_two_prunes_at_once_delete_each_run_once(home: Path) -> None:
    ids = {complete() for _ in range(6)}
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            try:
                prune_all(home)
            except BaseException:
                os._exit(1)
            os._exit(0)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0]
    assert len(ids) == 6
    assert names_in(home) == []


def test_a_home_without_runs_has_nothing_to_prune(home: Path) -> None:
    assert prune_all(home).deleted == ()
    assert elastic.runs() == []
    assert list(home.iterdir()) == []


def test_a_run_that_cannot_be_removed_keeps_no_other(home: Path) -> None:
    first, second = sorted((complete(), complete()))
    (folder_of(second) / "lock").unlink()
    (folder_of(second) / "lock").symlink_to(home / "nowhere")  # a lock is opened through no link
    pruned = prune_all(home)
    assert [run.run_id for run in pruned.deleted] == [first]
    [kept] = pruned.kept
    assert kept.run.run_id == second
    assert kept.reason.startswith("it cannot be removed (")
    assert stored() == {second}


# -- names and arguments


def test_runs_are_deleted_by_beginning_and_as_the_last() -> None:
    first, second = sorted((complete(), complete()))
    assert [run.run_id for run in elastic.delete_runs("last")] == [second]
    assert [run.run_id for run in elastic.delete_runs(first[:-3], first)] == [first]
    assert stored() == set()


def test_one_run_that_stays_keeps_all_that_are_named_with_it() -> None:
    good, bad = complete(), failed()
    with pytest.raises(UsageError, match="can be resumed"):
        elastic.delete_runs(good, bad)
    assert stored() == {good, bad}


@pytest.mark.parametrize("name", ["2099", "../../etc", "", "\0", "*"])
def test_a_run_that_is_not_there_is_named(name: str) -> None:
    complete()
    with pytest.raises((UnknownRunError, UsageError)):
        elastic.delete_runs(name)
    assert len(elastic.runs()) == 1


def test_a_name_of_several_runs_or_of_none_is_refused() -> None:
    ids = [complete(), complete()]
    with pytest.raises(UsageError, match="matches the runs"):
        elastic.delete_runs(ids[0][:4])
    with pytest.raises(UsageError, match="no run is named"):
        elastic.delete_runs()
    assert len(elastic.runs()) == 2


@pytest.mark.parametrize(
    "keep",
    ["", "30", "d", "-1d", "30 days", "nan d", "1e9d", "99999999999999d", 30, math.nan, b"30d", dt.timedelta(-1)],
)
def test_an_age_that_is_none_is_refused(keep: Any) -> None:
    complete()
    with pytest.raises(UsageError, match=r"keep=.* must be a duration, such as 90s, 15m, 12h, 30d or 2w"):
        elastic.prune_runs(keep=keep)
    assert len(elastic.runs()) == 1


@pytest.mark.parametrize("keep_last", [-1, 1.0, True, "1", math.nan])
def test_a_number_of_runs_that_is_none_is_refused(keep_last: Any) -> None:
    with pytest.raises(UsageError, match=r"keep_last=.* must be a whole number from 0"):
        elastic.prune_runs(keep_last=keep_last)


def test_a_prune_that_would_keep_nothing_by_mistake_is_refused() -> None:
    complete()
    with pytest.raises(UsageError, match="nothing says which runs to keep"):
        elastic.prune_runs()
    assert len(elastic.runs()) == 1


@pytest.mark.parametrize(("keep", "count"), [("0s", 1), (" 1.5 h ", 0), ("2w", 0), (dt.timedelta(0), 1)])
def test_an_age_has_a_unit(keep: Any, count: int) -> None:
    complete()
    assert len(elastic.prune_runs(keep=keep).deleted) == count


def test_another_home_is_pruned_by_name(tmp_path: Path) -> None:
    here = complete()
    complete(home=tmp_path / "other")
    assert len(elastic.runs(home=tmp_path / "other")) == 1
    assert len(elastic.prune_runs(keep_last=0, home=tmp_path / "other").deleted) == 1
    assert stored() == {here}


# -- the setting


def make_old() -> str:
    """Store a run with the id and the times of one of 2001."""
    old = new_run_id(1e9, os.urandom(4))
    store = SqliteRunStore.create(folder_of(old), old, bytes(32))
    store.begin(0, "old", {}, 1e9)
    store.end(0, "complete", 1e9)
    store.close()
    return old


def test_without_a_setting_no_run_is_deleted_by_another(home: Path) -> None:
    old = make_old()
    complete()
    assert old in stored()
    assert not (home / "runs" / ".pruned").exists()


def test_a_setting_deletes_old_runs_at_the_end_of_a_run_once_an_hour(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELASTIC__RUNS__KEEP_DAYS", "30")
    old = make_old()
    young = complete()
    assert stored() == {young}
    older = make_old()
    complete()
    assert older in stored()
    os.utime(home / "runs" / ".pruned", (1e9, 1e9))
    complete()
    assert older not in stored()
    assert old not in stored()
    assert young in stored()


def test_the_setting_keeps_the_last_runs_and_leaves_other_homes(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELASTIC__RUNS__KEEP_DAYS", "1e-9")
    monkeypatch.setenv("ELASTIC__RUNS__KEEP_LAST", "2")
    old = make_old()
    complete(home=tmp_path / "other")
    assert stored() == {old}
    complete()
    assert old in stored()
    (home / "runs" / ".pruned").unlink()
    complete()
    assert old not in stored()


def test_a_run_does_not_fail_because_old_ones_cannot_be_deleted(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ELASTIC__RUNS__KEEP_DAYS", "30")
    complete()
    (home / "runs" / ".pruned").unlink()
    (home / "runs" / ".pruned").mkdir()
    os.utime(home / "runs" / ".pruned", (1e9, 1e9))
    assert elastic.from_range(10).aggregate("sum").run(cluster="inline").value == 45
    assert "old runs were not deleted" in caplog.text
