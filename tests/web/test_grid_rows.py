"""Rows of the grid: groups, order, mapped tasks, and tasks that are gone."""

import json

from elastic.dag import DAG, TaskGroup
from elastic.dag.serialized_dag import SerializedDag, from_dict, to_dict
from elastic.dag.states.state import TaskState
from elastic.db.page_queries.grid import RunCells
from elastic.operators import EmptyOperator
from elastic.web.views.grid_rows import gone_rows, grid_rows, row_states, rows_below, with_groups
from elastic.web.views.grid_table import cell_bytes, failed_rows, rows_json, table_rows
from elastic.web.views.state_bytes import ABSENT, byte_of
from tests.web.dag_page_samples import MARKUP, sample_dag


def stored(dag: DAG | None = None) -> SerializedDag:
    return from_dict(json.loads(json.dumps(to_dict(dag or sample_dag()))))


def shown(dag: SerializedDag) -> list[tuple[str, int]]:
    return [(row.row_id, row.depth) for row in grid_rows(dag)]


def nested() -> DAG:
    with DAG("etl", start_date="2026-03-02") as dag:
        with TaskGroup("outer"):
            a = EmptyOperator(task_id="a")
            with TaskGroup("inner"):
                b = EmptyOperator(task_id="b")
            with TaskGroup("plain", prefix_group_id=False):
                c = EmptyOperator(task_id="c")
        d = EmptyOperator(task_id="d")
        d >> a >> b >> c
    return dag


def test_rows_come_in_topological_order_with_their_groups() -> None:
    assert shown(stored()) == [
        ("load", 0),
        ("load.wait", 1),
        ("load.prices", 1),
        ("stats", 0),
        ("stats.totals", 1),
        ("mail", 0),
    ]


def test_groups_are_nested_and_labels_lack_their_prefix() -> None:
    rows = grid_rows(stored(nested()))
    assert [(row.label, row.depth, row.groups) for row in rows] == [
        ("d", 0, ()),
        ("outer", 0, ()),
        ("a", 1, ("outer",)),
        ("inner", 1, ("outer",)),
        ("b", 2, ("outer.inner", "outer")),
        ("plain", 1, ("outer",)),
        ("outer.c", 2, ("outer.plain", "outer")),
    ]


def test_a_group_has_the_state_that_needs_the_most_attention() -> None:
    rows = grid_rows(stored())
    states = {"load.wait": TaskState.SUCCESS, "load.prices": TaskState.FAILED, "stats.totals": None}
    assert row_states(rows, states) == [TaskState.FAILED, TaskState.SUCCESS, TaskState.FAILED, None, None, ""]


def test_tasks_that_only_runs_have_come_last_as_gone() -> None:
    rows = grid_rows(stored())
    gone = gone_rows(rows, ["old", "load.wait", "load", MARKUP])
    # A task may have the name that a group has now.
    assert [(row.row_id, row.is_gone) for row in gone] == [(MARKUP, True), ("load", True), ("old", True)]


def test_a_root_shows_the_tasks_around_it() -> None:
    dag = stored()
    rows = grid_rows(dag)
    around = rows_below(dag, rows, "stats.totals")
    assert around is not None
    assert [row.row_id for row in around] == [row.row_id for row in rows]
    group = rows_below(dag, rows, "stats")
    assert group is not None
    assert [row.row_id for row in group] == ["stats", "stats.totals"]
    assert rows_below(dag, rows, "nonsense") is None
    assert [row.row_id for row in with_groups(rows, ["load.wait"])] == ["load", "load.wait"]


def test_bytes_stand_task_by_task_and_0_for_tasks_that_a_run_lacks() -> None:
    cells = RunCells(states={"r1": {"a": TaskState.SUCCESS, "b": None}, "r2": {"b": TaskState.FAILED}})
    found = cell_bytes(["a", "b"], cells, ["r1", "r2", "r3"])
    assert list(found) == [byte_of("success"), ABSENT, ABSENT, byte_of(None), byte_of("failed"), ABSENT]


def test_only_failed_rows_are_those_with_a_failure_in_a_run() -> None:
    rows = grid_rows(stored())
    cells = RunCells(states={"r1": {"load.wait": TaskState.UP_FOR_RETRY, "mail": TaskState.SUCCESS}})
    assert [one.row.row_id for one in failed_rows(table_rows(rows, cells, ["r1"]))] == ["load", "load.wait"]


def test_the_json_of_the_rows_has_facts_that_differ_from_the_usual_ones() -> None:
    found = rows_json(grid_rows(stored()), "digest")
    facts = {row["id"]: dict(row["facts"]) for row in found["rows"]}
    assert facts["mail"] == {
        "operator": "EmptyOperator",
        "owner": "ada",
        "upstream": "stats.totals",
        "queue": "heavy",
    }
    assert facts["load.prices"]["retries"] == "2"
    assert facts["load.wait"]["upstream"] == "no task"
