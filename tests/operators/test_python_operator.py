"""Functions as tasks, with branches."""

import functools
from typing import Any

import pytest
from operator_samples import attempt, sample_dag

from elastic.dag import TaskGroup
from elastic.dag.context import ContextServices
from elastic.dag.errors import BranchError, CallError, DefinitionError
from elastic.operators import (
    BranchOperator,
    DummyOperator,
    EmptyOperator,
    PythonOperator,
    ShortCircuitOperator,
)


def run(function: Any, **settings: Any) -> Any:
    return attempt(PythonOperator(function, task_id="t", dag=sample_dag(), **settings)).result


def test_a_function_gets_its_arguments_and_what_it_asks_for_of_the_context() -> None:
    def load(table: str, ds: str, *, rows: int, tomorrow_ds: str, limit: int = 5) -> list[Any]:
        return [table, ds, rows, tomorrow_ds, limit]

    assert run(load, op_args=["t_{{ ds_nodash }}"], op_kwargs={"rows": 7}) == [
        "t_20160222", "2016-02-22", 7, "2016-02-23", 5,
    ]  # fmt: skip
    assert run(load, op_args=["t", "other day"], op_kwargs={"rows": 1, "tomorrow_ds": "none"})[1:4] == [
        "other day", 1, "none",
    ]  # fmt: skip


def test_a_function_may_take_all_of_the_context() -> None:
    assert run(lambda context: sorted({"ds", "ti", "params", "task", "macros"} & context.keys())) == [
        "ds", "macros", "params", "task", "ti",
    ]  # fmt: skip
    assert run(lambda ds, **rest: [ds, "ds" in rest, rest["timeperiod"]]) == ["2016-02-22", False, "20160222"]
    assert run(lambda **context: context["ds"]) == "2016-02-22"


def test_any_callable_can_be_a_task() -> None:
    class Callable:
        def __call__(self, ds: str) -> str:
            return ds

    assert run(Callable()) == "2016-02-22"
    assert run(functools.partial(lambda a, ds: [a, ds], 1)) == [1, "2016-02-22"]
    assert run(max, op_args=[1, 2]) == 2
    with pytest.raises(DefinitionError, match="task 't': python_callable must be a function, got 7"):
        run(7)


def test_texts_for_the_function_are_rendered() -> None:
    assert run(lambda templates_dict: templates_dict, templates_dict={"q": "{{ ds }}"}) == {"q": "2016-02-22"}


@pytest.mark.parametrize(
    ("function", "settings", "said"),
    [
        (lambda when: when, {}, r"needs 'when', which is neither an argument nor in the context"),
        (lambda a: a, {"op_args": [1, 2]}, r"needs other arguments \(too many positional arguments\)"),
        (lambda a: a, {"op_args": [1], "op_kwargs": {"a": 2}}, r"other arguments \(multiple values for argument 'a'\)"),
        (lambda a: a, {"op_kwargs": {"a": 1, "b": 2}}, r"other arguments \(got an unexpected keyword argument 'b'\)"),
    ],
)
def test_a_call_that_cannot_be_made_is_named(function: Any, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(CallError, match=said):
        run(function, **settings)


def test_an_error_of_the_function_is_the_error_of_the_attempt() -> None:
    with pytest.raises(ZeroDivisionError):
        run(lambda: 1 / 0)


def test_the_empty_operator_does_nothing_and_has_an_older_name() -> None:
    assert DummyOperator is EmptyOperator
    assert attempt(EmptyOperator(task_id="t")).result is None


def branching(choice: Any, kind: Any = BranchOperator, **settings: Any) -> list[str]:
    """Choose in a DAG; return the ids that are skipped.

    decide -> a -> end, decide -> b -> end, decide -> end, decide -> g.x -> g.y -> end
    """
    with sample_dag():
        decide = kind(lambda: choice, task_id="decide", **settings)
        end = EmptyOperator(task_id="end")
        decide >> [EmptyOperator(task_id="a"), EmptyOperator(task_id="b")] >> end
        decide >> end
        with TaskGroup("g") as group:
            EmptyOperator(task_id="x") >> EmptyOperator(task_id="y")
        decide >> group >> end
    return sorted(attempt(decide).skipped_task_ids)


@pytest.mark.parametrize(
    ("choice", "skipped"),
    [
        ("a", ["b", "g.x"]),
        (["a", "b"], ["g.x"]),
        ("end", ["a", "b", "g.x"]),
        ("g.x", ["a", "b"]),
        ("g", ["a", "b"]),
        (None, ["a", "b", "end", "g.x"]),
        ([], ["a", "b", "end", "g.x"]),
    ],
)
def test_branches_that_were_not_chosen_are_skipped_but_not_what_comes_after_a_chosen_one(
    choice: Any, skipped: list[str]
) -> None:
    assert branching(choice) == skipped


@pytest.mark.parametrize("choice", ["nobody", "g.y", ["a", "decide"], 7, [7]])
def test_a_branch_that_is_not_there_is_named(choice: Any) -> None:
    with pytest.raises(BranchError, match=r"task 'decide' chose .*, which is not directly downstream of it"):
        branching(choice)


@pytest.mark.parametrize(
    ("value", "settings", "skipped"),
    [
        (True, {}, []),
        ([1], {}, []),
        (False, {}, ["a", "b", "end", "g.x", "g.y"]),
        (None, {}, ["a", "b", "end", "g.x", "g.y"]),
        (0, {"ignore_downstream_trigger_rules": False}, ["a", "b", "end", "g.x"]),
    ],
)
def test_a_short_circuit_skips_what_comes_after_something_false(
    value: Any, settings: dict[str, Any], skipped: list[str]
) -> None:
    assert branching(value, ShortCircuitOperator, **settings) == skipped


def test_a_task_takes_the_output_of_another_as_an_argument() -> None:
    services = ContextServices()
    with sample_dag():
        one = PythonOperator(lambda: {"n": 3}, task_id="one")
        two = PythonOperator(lambda n, ds: [n, ds], op_args=[one.output["n"]], task_id="two")
    assert list(two.upstream) == ["one"]
    attempt(one, services=services)
    assert attempt(two, services=services).result == [3, "2016-02-22"]
