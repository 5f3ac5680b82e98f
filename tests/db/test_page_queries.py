"""Queries of the pages of DAGs, runs and task instances, on each kind of database."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert, update

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import RunState, TaskState
from elastic.db import queries, transitions
from elastic.db.database import Database
from elastic.db.page_queries import browse, dag_list, grid, instances, search
from elastic.db.page_queries.browse import RowFilter
from elastic.db.page_queries.dag_list import DagFilter
from elastic.db.page_queries.instances import InstanceFilter, Position
from elastic.db.records import DagRun, TaskInstanceRow
from elastic.db.schema import dag_run, task_instance, xcom
from elastic.db.stores.dags import DagRow, FoundDag, dag_named, store_dags
from tests.db.db_samples import DAY, database_time, finished, key_of, made_run, new_instance, running


def made_copies(database: Database, run: DagRun, task_id: str, *states: TaskState | None) -> None:
    """Insert copies of a mapped task in some states."""
    transitions.ensure_instances(
        database, [new_instance(run, task_id, map_index=index) for index in range(len(states))]
    )
    for index, state in enumerate(states):
        set_state(database, TaskKey(run.dag_id, run.run_id, task_id, index), state)


def set_state(database: Database, key: TaskKey, state: TaskState | None) -> None:
    table = task_instance.c
    same = (table.dag_id == key.dag_id, table.run_id == key.run_id, table.task_id == key.task_id)
    with database.begin() as connection:
        connection.execute(update(task_instance).where(*same, table.map_index == key.map_index).values(state=state))


def names(rows: list[TaskInstanceRow]) -> list[str]:
    return [one.task_id if one.map_index < 0 else f"{one.task_id}[{one.map_index}]" for one in rows]


def test_a_window_holds_the_latest_runs_up_to_a_date(database: Database) -> None:
    runs = [made_run(database, day=number) for number in range(5)]
    window = grid.run_window(database, "etl", 3)
    assert [one.run_id for one in window.runs] == [run.run_id for run in runs[2:]]
    assert (window.has_earlier, window.has_later) == (True, False)
    window = grid.run_window(database, "etl", 3, DAY + dt.timedelta(days=1))
    assert [one.run_id for one in window.runs] == [run.run_id for run in runs[:2]]
    assert (window.has_earlier, window.has_later) == (False, True)
    assert grid.run_window(database, "none", 3).runs == ()
    assert grid.date_of_later_runs(database, "etl", DAY, 2) == runs[2].logical_date
    assert grid.date_of_later_runs(database, "etl", runs[4].logical_date, 2) is None
    assert grid.run_after(database, "etl", DAY) == runs[1].run_id
    assert grid.run_after(database, "etl", runs[4].logical_date) is None


def test_cells_summarize_copies_and_are_limited_to_tasks(database: Database) -> None:
    first, second = made_run(database, "a", "b"), made_run(database, "a", day=1)
    made_copies(database, first, "m", TaskState.SUCCESS, TaskState.FAILED, None)
    made_copies(database, second, "m", TaskState.REMOVED, TaskState.REMOVED)
    set_state(database, key_of(first, "a"), TaskState.SUCCESS)
    cells = grid.cells_of(database, "etl", [first.run_id, second.run_id])
    assert cells.states == {
        first.run_id: {"a": TaskState.SUCCESS, "b": None, "m": TaskState.FAILED},
        second.run_id: {"a": None, "m": TaskState.REMOVED},
    }
    assert cells.copies == {first.run_id: {"m": 3}}
    assert cells.task_ids() == {"a", "b", "m"}
    assert grid.cells_of(database, "etl", [first.run_id], ["b"]).states == {first.run_id: {"b": None}}
    many = ["b", *(f"t{number}" for number in range(1200))]
    assert grid.cells_of(database, "etl", [first.run_id], many).states == {first.run_id: {"b": None}}
    assert grid.cells_of(database, "etl", []).states == {}


def test_instances_are_paged_with_failures_first_and_none_missing(database: Database) -> None:
    run = made_run(database, *"abcde")
    made_copies(database, run, "m", TaskState.FAILED, TaskState.SUCCESS, TaskState.SKIPPED)
    for task_id, state in zip("abc", (TaskState.SUCCESS, TaskState.RUNNING, TaskState.FAILED), strict=True):
        set_state(database, key_of(run, task_id), state)
    found: list[str] = []
    after: Position | None = None
    while True:
        rows, after = instances.instances_page(database, "etl", run.run_id, InstanceFilter(), after=after, limit=3)
        found += names(rows)
        if after is None:
            break
    assert found == ["c", "m[0]", "b", "d", "e", "a", "m[1]", "m[2]"]
    chosen = InstanceFilter(states=[TaskState.SUCCESS], task_id="m")
    assert names(instances.instances_page(database, "etl", run.run_id, chosen)[0]) == ["m[1]"]
    assert instances.state_counts(database, "etl", run.run_id)[TaskState.FAILED] == 2
    assert instances.counts_of_runs(database, "etl", [run.run_id])[run.run_id][None] == 2


def test_a_group_is_a_prefix_whose_wildcards_are_text(database: Database) -> None:
    run = made_run(database, "g_1.a", "g_1.b", "gx1.a", "g_1")
    rows, _ = instances.instances_page(database, "etl", run.run_id, InstanceFilter(group="g_1"))
    assert names(rows) == ["g_1.a", "g_1.b"]


def test_copies_around_one_and_the_next_failure(database: Database) -> None:
    run = made_run(database, "a", "z")
    made_copies(database, run, "m", TaskState.FAILED, None, TaskState.REMOVED, TaskState.SUCCESS, TaskState.FAILED)
    around = instances.copies_around(database, TaskKey("etl", run.run_id, "m", 1))
    assert (around.count, around.previous, around.next, around.next_failed) == (4, 0, 3, 4)
    last = instances.copies_around(database, TaskKey("etl", run.run_id, "m", 4))
    assert (last.previous, last.next, last.next_failed) == (3, None, 0)
    key = TaskKey("etl", run.run_id, "m", 4)
    assert instances.next_failed(database, key) == TaskKey("etl", run.run_id, "m", 0)
    set_state(database, key_of(run, "z"), TaskState.FAILED)
    assert instances.next_failed(database, key) == key_of(run, "z")
    assert instances.next_failed(database, key_of(run, "a")) == TaskKey("etl", run.run_id, "m", 0)
    assert [one.map_index for one in instances.keys_of_copies(database, key)] == [0, 1, 2, 3, 4]
    rows, has_more = instances.copies_page(database, key, after=0, limit=2)
    assert ([one.map_index for one in rows], has_more) == ([1, 2], True)
    assert instances.task_counts(database, key)[TaskState.FAILED] == 2


def test_errors_are_their_last_lines(database: Database) -> None:
    run = made_run(database, "a", "b")
    for task_id, error in (("a", "Traceback\n  x\nValueError: 'é'\n\n"), ("b", None)):
        running(database, key_of(run, task_id), f"uuid-{task_id}")
        assert finished(database, f"uuid-{task_id}", TaskState.FAILED, error=error)
    assert instances.errors_of(database, ["uuid-a", "uuid-b", "none"]) == {"uuid-a": "ValueError: 'é'"}
    assert instances.errors_of(database, []) == {}


def test_long_xcoms_are_cut_and_their_size_is_that_of_the_whole(database: Database) -> None:
    run = made_run(database, "a")
    key = key_of(run, "a")
    row = {"dag_id": "etl", "run_id": run.run_id, "task_id": "a", "map_index": -1, "at": database_time(database)}
    with database.begin() as connection:
        connection.execute(insert(xcom), [{**row, "key": "b", "value": "é" * 100}, {**row, "key": "a", "value": "1"}])
    found = instances.xcoms_of(database, key, max_characters=10)
    assert [(one.key, one.value, one.is_cut) for one in found] == [("a", "1", False), ("b", "é" * 10, True)]
    assert found[1].size >= 100
    assert instances.xcom_value(database, key, "b") == "é" * 100
    assert instances.xcom_value(database, key, "none") is None


def test_runs_are_paged_latest_first(database: Database) -> None:
    runs = [made_run(database, day=number) for number in range(5)]
    with database.begin() as connection:
        connection.execute(update(dag_run).where(dag_run.c.run_id == runs[1].run_id).values(state=RunState.FAILED))
    page, before = instances.runs_page(database, "etl", limit=3)
    assert [one.run_id for one in page] == [run.run_id for run in reversed(runs[2:])]
    page, before = instances.runs_page(database, "etl", before=before, limit=3)
    assert ([one.run_id for one in page], before) == ([runs[1].run_id, runs[0].run_id], None)
    page, _ = instances.runs_page(database, "etl", states=[RunState.FAILED])
    assert [one.run_id for one in page] == [runs[1].run_id]
    assert instances.near_run_ids(database, "etl", "x")[0] == runs[4].run_id
    assert instances.near_task_ids(database, "etl", runs[0].run_id, "x") == []


@pytest.mark.parametrize("text", ["\u00e4", "etl\u00e4", "\U0001f600", "a\u0000b"])
def test_a_string_that_is_no_key_matches_nothing(database: Database, text: str) -> None:
    run = made_run(database, "a")
    store_dags(database, [FoundDag(row=DagRow(dag_id="etl", fileloc="etl.py", owner="J\u00fcrgen", tags="\u00e4pfel"))])
    for name in ("dag_id", "run_id", "state", "run_type"):
        assert browse.runs_page(database, RowFilter(**{name: text})) == []
    for name in ("dag_id", "run_id", "task_id", "state"):
        assert browse.instances_page(database, RowFilter(**{name: text})) == []
    for name in ("dag_id", "run_id", "task_id", "event"):
        assert browse.events_page(database, RowFilter(**{name: text})) == []
    assert browse.runs_page(database, RowFilter(), after=(DAY, text)) == []
    assert browse.instances_page(database, RowFilter(), after=(text, text, text, 0)) == []
    for wanted in (InstanceFilter(task_id=text), InstanceFilter(group=text)):
        assert instances.instances_page(database, "etl", run.run_id, wanted) == ([], None)
    after: Position = (instances.RANK_WITHOUT_STATE, text, 0)
    assert instances.instances_page(database, "etl", run.run_id, InstanceFilter(), after=after) == ([], None)
    assert dag_list.dag_list(database, DagFilter(dag_id=text)).dags == []
    assert dag_list.dag_list(database, DagFilter(), after=text).dags == []
    assert queries.run_of_id(database, text, text) is None
    assert dag_named(database, text) is None


def test_a_label_is_found_by_any_characters(database: Database) -> None:
    store_dags(database, [FoundDag(row=DagRow(dag_id="etl", fileloc="etl.py", owner="J\u00fcrgen", tags="\u00e4pfel"))])
    for wanted in (
        DagFilter(text="j\u00fcr"),
        DagFilter(text="\u00e4pf"),
        DagFilter(owner="J\u00fcrgen"),
        DagFilter(tag="\u00e4pfel"),
    ):
        assert [one.dag_id for one in dag_list.dag_list(database, wanted).dags] == ["etl"]


def test_pages_follow_each_other_in_one_order_on_each_database(database: Database) -> None:
    ids = ["B", "a", "A", "b", "a_b", "a-b", "a.b", "aB", "ab", "a1", "A_1", "_a", "Z9", "z"]
    store_dags(database, [FoundDag(row=DagRow(dag_id=one, fileloc="all.py", owner="ada")) for one in ids])
    paged: list[str] = []
    while True:
        found = dag_list.dag_list(database, DagFilter(), after=paged[-1] if paged else "", limit=3)
        paged += [one.dag_id for one in found.dags]
        if not found.has_more:
            break
    assert paged == sorted(ids)


def test_instances_are_paged_in_the_order_of_their_keys(database: Database) -> None:
    tasks = ["b", "B", "a_1", "a-1", "a.1", "aB", "A"]
    run = made_run(database, *tasks)
    paged: list[str] = []
    after = None
    while found := browse.instances_page(database, RowFilter(dag_id="etl"), after=after, limit=2):
        paged += [one.task_id for one in found]
        after = (found[-1].dag_id, found[-1].run_id, found[-1].task_id, found[-1].map_index)
    assert paged == sorted(tasks)
    position, shown = None, []
    while True:
        rows, position = instances.instances_page(
            database, "etl", run.run_id, InstanceFilter(), after=position, limit=2
        )
        shown += [one.task_id for one in rows]
        if position is None:
            break
    assert shown == sorted(tasks)


@pytest.mark.parametrize("chosen", [{}, {"dag_id": "etl"}, {"state": "failed"}, {"dag_id": "etl", "state": "failed"}])
def test_sqlite_reads_a_page_of_runs_from_an_index(sqlite_database: Database, chosen: dict[str, str]) -> None:
    for after in (None, (DAY, "etl")):
        plan = plan_of(
            sqlite_database, lambda after=after: browse.runs_page(sqlite_database, RowFilter(**chosen), after=after)
        )
        assert all("USING INDEX" in line for line in plan), plan
        assert not any("TEMP B-TREE" in line for line in plan), plan


@pytest.mark.parametrize("chosen", [{}, {"dag_id": "etl"}, {"event": "queued"}, {"dag_id": "etl", "event": "queued"}])
def test_sqlite_reads_a_page_of_events_without_sorting(sqlite_database: Database, chosen: dict[str, str]) -> None:
    wanted = RowFilter(of_dags=True, **chosen)
    for before in (None, 100):
        plan = plan_of(
            sqlite_database, lambda before=before: browse.events_page(sqlite_database, wanted, before=before)
        )
        assert not any("TEMP B-TREE" in line for line in plan), plan
        assert not chosen or all("USING INDEX" in line for line in plan), plan


def test_sqlite_searches_runs_in_indexes(sqlite_database: Database) -> None:
    plan = plan_of(sqlite_database, lambda: search.search(sqlite_database, "2026-03-02", day=DAY))
    runs = [line for line in plan if " dag_run" in line]
    assert len(runs) == 2
    assert all(line.startswith("SEARCH dag_run USING INDEX") for line in runs), plan


def plan_of(database: Database, query: Callable[[], object]) -> list[str]:
    """Return how SQLite reads the rows of a query."""
    seen: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, is_many: bool) -> None:
        if statement.lstrip().startswith("SELECT"):
            seen.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        query()
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    with database.read() as connection:
        return [
            row[-1] for one, given in seen for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {one}", given)
        ]
