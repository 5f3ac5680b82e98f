"""Graph of a DAG: all tasks, those around one, or groups in place of many tasks."""

import json
from typing import Any

from elastic.dag import DAG, TaskGroup
from elastic.dag.serialized_dag import SerializedDag, from_dict, to_dict
from elastic.dag.states.state import RunState, TaskState
from elastic.operators import EmptyOperator
from elastic.web.context import WebContext
from elastic.web.views.graph import MOST_TASKS, graph_of, shape_of
from elastic.web.views.graph_layout import layout_of
from elastic.web.views.grid_rows import grid_rows
from tests.web.dag_page_samples import Sample, sample_dag, sample_run_id


def stored(dag: DAG) -> SerializedDag:
    return from_dict(json.loads(json.dumps(to_dict(dag))))


def large_dag() -> DAG:
    """Return a DAG of three groups of more tasks than are drawn one by one, and a task at its end."""
    with DAG("etl", schedule="@daily", start_date="2026-03-02") as dag:
        before: list[Any] = []
        for number in range(3):
            with TaskGroup(f"g{number}"):
                first = EmptyOperator(task_id="first")
                tasks = [EmptyOperator(task_id=f"t{at:03}") for at in range(MOST_TASKS // 3)]
                for one in tasks:
                    first >> one
                for one in before:
                    one >> first
                before = tasks
        before[-1] >> EmptyOperator(task_id="end")
    return dag


def test_a_small_dag_is_drawn_task_by_task() -> None:
    dag = stored(sample_dag())
    shape = shape_of(dag, grid_rows(dag))
    assert shape is not None
    assert shape.nodes == ("load.wait", "load.prices", "stats.totals", "mail")
    assert shape.edges == (("load.wait", "load.prices"), ("load.prices", "stats.totals"), ("stats.totals", "mail"))
    assert shape.groups == {}


def test_groups_stand_for_the_tasks_of_a_large_dag() -> None:
    dag = stored(large_dag())
    shape = shape_of(dag, grid_rows(dag))
    assert shape is not None
    assert shape.nodes == ("g0", "g1", "g2", "end")
    assert shape.edges == (("g0", "g1"), ("g1", "g2"), ("g2", "end"))
    states = {"g0.first": TaskState.SUCCESS, "g0.t001": TaskState.FAILED, "end": None}
    graph = graph_of(dag, shape, layout_of(shape.nodes, shape.edges), states, {})
    found = {node.node_id: (node.state, node.is_there, node.is_group) for node in graph.nodes}
    assert found["g0"] == (TaskState.FAILED, True, True)
    assert found["g1"] == (None, False, True)
    assert found["end"] == (None, True, False)
    assert graph.is_folded


def test_a_group_of_a_large_dag_is_opened_and_an_unknown_one_is_said(web: Any, web_context: WebContext) -> None:
    sample = Sample(web_context.deployment, large_dag())
    sample.run(0, RunState.FAILED, g1__t005=TaskState.FAILED)
    client, run = web("viewer"), sample_run_id(0)
    for address in ("/dags/etl", f"/dags/etl/runs/{run}"):
        page = client.get(f"{address}?view=graph").text
        assert page.count('data-task="') == 4
        assert "Each group hides its tasks" in page
        assert 'class="node s-failed" data-task="g1"' in page
        opened = client.get(f"{address}?view=graph&root=g1").text
        assert opened.count('data-task="') == MOST_TASKS // 3 + 1
        assert f'href="/dags/etl/runs/{run}/tasks/g1.t005"' in opened
        assert "no task or group &#39;nonsense&#39;" in client.get(f"{address}?view=graph&root=nonsense").text
