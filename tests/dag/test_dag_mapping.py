"""Mapped tasks."""

from typing import Any

import pytest
from dag_samples import Echo, attempt, sample_dag

from elastic.dag import TaskGroup, literal
from elastic.dag.context import ContextServices
from elastic.dag.errors import DefinitionError, MappingError, TemplateError, UnknownSettingError
from elastic.dag.execution.build_context import build_context
from elastic.dag.execution.execute import execute
from elastic.dag.expansion import MAX_COPIES
from elastic.dag.operator import BaseOperator, MappedOperator


class Pair(BaseOperator):
    """Returns its arguments and a setting of its DAG."""

    template_fields = ("left", "right")

    def __init__(self, left: Any, right: Any, **settings: Any) -> None:
        super().__init__(**settings)
        self.left, self.right = left, right
        self.mode = self.default("mode", None, "none")

    def execute(self) -> Any:
        return [self.left, self.right, self.mode]


def nothing(task_id: str, key: str) -> Any:
    raise AssertionError("no task passed anything on")


def copies(task: MappedOperator, services: ContextServices | None = None) -> list[Any]:
    """Run all copies and return their results."""
    services = services or ContextServices()
    pull = build_context(task, task.attempt_info("2016-02-22"), services)["ti"].xcom_pull
    return [attempt(task, services=services, map_index=index).result for index in range(task.count(pull))]


def test_a_task_becomes_a_copy_for_each_element() -> None:
    dag = sample_dag(default_args={"retries": 2, "mode": "fast"})
    with dag:
        task = Pair.partial(task_id="t", right="{{ ds }}", queue="big").expand(left=["a", "{{ ti.map_index }}"])
    assert dag.task_ids == ["t"]
    assert (str(task), task.is_mapped, task.known_count) == ("<Task(Pair): t>", True, 2)
    assert (task.retries, task.queue, task.copy_at(1, nothing).queue) == (2, "big", "big")
    assert copies(task) == [["a", "2016-02-22", "fast"], ["1", "2016-02-22", "fast"]]
    assert dag.task_ids == ["t"]


def test_several_lists_are_combined_the_last_changing_fastest() -> None:
    task = Pair.partial(task_id="t").expand(left=[1, 2], right=("x", "y"))
    assert [row[:2] for row in copies(task)] == [[1, "x"], [1, "y"], [2, "x"], [2, "y"]]
    assert task.count(nothing) == 4


def test_a_dict_is_mapped_over_its_pairs_and_rows_over_their_names() -> None:
    assert copies(Echo.partial(task_id="t").expand(text={"a": 1, "b": 2})) == [("a", 1), ("b", 2)]
    rows = Pair.partial(task_id="t").expand_kwargs([{"left": 1, "right": 2}, {"left": 3, "right": 4}])
    assert [row[:2] for row in copies(rows)] == [[1, 2], [3, 4]]


def test_the_output_of_a_task_says_how_many_copies_there_are() -> None:
    services = ContextServices()
    with sample_dag() as dag:
        numbers = Echo([5, 6, 7], task_id="numbers")
        task = Echo.partial(task_id="t").expand(text=numbers.output)
        total = Echo(task.output, task_id="total")
    assert (task.known_count, list(task.upstream)) == (None, ["numbers"])
    attempt(numbers, services=services)
    assert copies(task, services) == [5, 6, 7]
    assert attempt(total, services=services).result == [5, 6, 7]
    assert [one.task_id for one in dag.topological()] == ["numbers", "t", "total"]


def test_rows_may_come_from_a_task() -> None:
    services = ContextServices()
    with sample_dag():
        rows = Echo([{"text": "{{ ds }}"}, {"text": 2}], task_id="rows")
        task = Echo.partial(task_id="t").expand_kwargs(rows.output)
    attempt(rows, services=services)
    assert copies(task, services) == ["2016-02-22", 2], "what was rendered there is passed on"


@pytest.mark.parametrize(
    ("passed_on", "said"),
    [("text", "got str"), (7, "got int"), (None, "got NoneType")],
)
def test_an_output_that_is_no_list_is_named(passed_on: Any, said: str) -> None:
    services = ContextServices()
    with sample_dag():
        source = Echo(passed_on, task_id="source")
        task = Echo.partial(task_id="t").expand(text=source.output)
    attempt(source, services=services)
    with pytest.raises(MappingError, match=f"t> cannot be mapped: output of 'source' must be a list, {said}"):
        copies(task, services)


def test_an_empty_list_makes_no_copies() -> None:
    task = Echo.partial(task_id="t").expand(text=[])
    assert (task.known_count, task.count(nothing)) == (0, 0)
    with pytest.raises(MappingError, match="has no copy 0"):
        task.copy_at(0, nothing)


@pytest.mark.parametrize(
    ("expand", "said"),
    [
        (lambda p: p.expand(left="abc"), r"expand\(left=...\) must be a list, a dict or the output of a task, got str"),
        (lambda p: p.expand(left={1, 2}), r"expand\(left=...\) must be .*, got set"),
        (lambda p: p.expand(), "nothing to expand"),
        (lambda p: p.expand(right=[1]), "'right' is both shared and expanded"),
        (
            lambda p: p.expand(left=[1], retries=[2]),
            r"'retries' must be the same for all copies.",
        ),
        (lambda p: p.expand_kwargs([1]), "must get a list of dicts"),
        (lambda p: p.expand_kwargs("x"), "must get a list of dicts"),
        (lambda p: p.expand_kwargs([{"task_id": "x"}]), "'task_id' is both shared|'task_id' must be the same"),
        (lambda p: p.expand(left=range(MAX_COPIES + 1)), "has too many copies: 1,025 of at most 1,024"),
        (lambda p: p.expand(left=[1], wrong=[2]), "Pair 't' has no setting 'wrong'"),
    ],
)
def test_what_cannot_be_mapped_is_refused_while_the_dag_is_defined(expand: Any, said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        expand(Pair.partial(task_id="t", right=1))


def test_a_wrong_shared_argument_is_refused_while_the_dag_is_defined() -> None:
    with pytest.raises(UnknownSettingError, match="has no setting 'retrys'; did you mean 'retries'"):
        Echo.partial(task_id="t", retrys=3).expand(text=[1])


def test_a_mapped_task_can_be_in_a_group_and_have_arrows() -> None:
    with sample_dag() as dag:
        with TaskGroup("g"):
            task = Echo.partial(task_id="t").expand(text=[1])
        task >> Echo(task_id="last")
    assert dag.task_ids == ["g.t", "last"]
    copy = task.copy_at(0, nothing)
    assert (copy.task_id, list(copy.downstream), copy.dag) == ("g.t", ["last"], dag)
    part = dag.sub_dag("g").get_task("g.t")
    assert execute(part, build_context(part, part.attempt_info("2016-02-22", map_index=0))).result == 1


EVIL = "{{ ds }}"


class Composed(Pair):
    """Inserts its argument into a string, and shortens another one."""

    def __init__(self, left: Any, right: Any = "{{ ds }}", **settings: Any) -> None:
        super().__init__(f"select {left} on {{{{ ds }}}}", right, **settings)


@pytest.mark.parametrize("value", [EVIL, "{% raw %}", "{# gone #}", "query.sql", [EVIL], {"k": [EVIL]}, "plain"])
def test_what_another_task_passed_on_is_never_a_template_of_a_copy(value: Any) -> None:
    dag = sample_dag()
    with dag:
        before = Echo(literal([value]), task_id="before")
        expanded = Pair.partial(task_id="a", right="{{ ti.map_index }}").expand(left=before.output)
        mixed = [before.output[0], "{{ ti.map_index }}"]
        rows = Pair.partial(task_id="b").expand(left=mixed, right=["{{ dag.dag_id }}"])
        many = Echo(literal([{"left": value, "right": "x"}]), task_id="many")
        keyed = Pair.partial(task_id="c").expand_kwargs(many.output)
    services = ContextServices()
    for task in (before, many):
        attempt(task, services=services)
    assert copies(expanded, services) == [[value, "0", "none"]]
    assert copies(rows, services) == [[value, "sample", "none"], ["1", "sample", "none"]]
    assert copies(keyed, services) == [[value, "x", "none"]]


@pytest.mark.parametrize(("value", "is_refused"), [("plain", False), ("100%", False), (EVIL, True), ("{", True)])
def test_a_text_that_a_class_puts_together_is_a_template_only_without_braces_of_others(
    value: str, *, is_refused: bool
) -> None:
    with sample_dag():
        before = Echo(literal([value]), task_id="before")
        task = Composed.partial(task_id="t", right="{{ ti.map_index }}").expand(left=before.output)
    services = ContextServices()
    attempt(before, services=services)
    if is_refused:
        with pytest.raises(TemplateError, match=r"field 'left'.* it may contain a value that another task pushed"):
            copies(task, services)
    else:
        assert copies(task, services) == [[f"select {value} on 2016-02-22", "0", "none"]]


class Inside(Pair):
    """Puts its argument between braces."""

    def __init__(self, left: Any, **settings: Any) -> None:
        text = left.decode() if isinstance(left, bytes) else left
        super().__init__("{{ " + "".join(text) + " }}", **settings)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("dag.dag_id", ""),
        ("ds }} and", ""),
        ("ds ~ ts", ""),
        (b"dag.dag_id", ""),
        ({"dag.dag_id": 1}, ""),
        ({"1 }}{{ ds": 1}, ""),
        ("ds", "2016-02-22"),
    ],
)
def test_a_value_of_another_task_is_no_code_where_a_class_puts_it_between_braces(value: Any, said: str) -> None:
    with sample_dag():
        before = Echo(literal([value]), task_id="before")
        task = Inside.partial(task_id="t", right=1).expand(left=before.output)
    services = ContextServices()
    attempt(before, services=services)
    if said:
        assert copies(task, services) == [[said, 1, "none"]]
    else:
        with pytest.raises(TemplateError, match=r"field 'left'.* it may contain a value that another task pushed"):
            copies(task, services)


def test_a_literal_is_neither_rendered_nor_read_from_a_file() -> None:
    with sample_dag():
        task = Pair(literal("{{ ds }}"), {"k": [literal("query.sql"), "{{ ds }}"]}, task_id="t")
    assert attempt(task).result[:2] == ["{{ ds }}", {"k": ["query.sql", "2016-02-22"]}]
