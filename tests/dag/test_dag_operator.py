"""Operators: their settings, and classes that users derive."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from dag_samples import Echo, attempt, sample_dag

from elastic.dag.errors import CallError, DefinitionError
from elastic.dag.execution.action import Action
from elastic.dag.operator import BaseOperator
from elastic.dag.states.trigger_rule import TriggerRule


def test_a_task_has_the_defaults_of_flux() -> None:
    task = BaseOperator("t", "max")
    assert task.dag_id == "adhoc_max"
    assert (task.retries, task.retry_delay, task.depends_on_past) == (0, timedelta(seconds=10), False)
    assert (task.start_date, task.end_date, task.schedule_interval) == (None, None, timedelta(days=1))
    assert (task.trigger_rule, task.pool, task.pool_slots) == (TriggerRule.ALL_SUCCESS, "default", 1)
    assert (task.priority_weight, task.queue, task.execution_timeout) == (1, "default", None)
    assert (task.email_on_failure, task.email_on_retry, task.wait_for_downstream) == (True, False, False)
    assert BaseOperator("t").owner == "elastic"
    assert str(task) == "<Task(BaseOperator): t>"
    with pytest.raises(DefinitionError, match=r"task 't' belongs to no DAG\. Pass one as dag="):
        _ = task.dag


def test_the_dag_says_what_a_task_does_not_say() -> None:
    default_args = {
        "owner": "data",
        "depends_on_past": True,
        "email": ["a@b.c"],
        "email_on_retry": False,
        "retries": 3,
        "retry_delay": timedelta(seconds=10),
        "poke_interval": 30,
    }
    dag = sample_dag(default_args=default_args)
    task, other = Echo(task_id="a", dag=dag), Echo(task_id="b", dag=dag, retries=0, owner="me", email=None)
    assert (task.owner, task.depends_on_past, task.email, task.retries) == ("data", True, ("a@b.c",), 3)
    assert (other.owner, other.retries, other.email) == ("me", 0, ())
    assert task.default("poke_interval", None, 5) == 30
    assert task.default("poke_interval", 7, 5) == 7
    assert task.default("mode", None, 5) == 5


def test_dates_of_a_task_win_over_those_of_the_dag_and_its_schedule_does_not() -> None:
    dag = sample_dag(timezone="Europe/Berlin", end_date="2016-03-01", schedule="@hourly")
    task = Echo(task_id="a", dag=dag, start_date=datetime(2016, 2, 23), schedule_interval=timedelta(days=7))
    assert task.start_date == datetime(2016, 2, 22, 23, tzinfo=UTC)
    assert task.end_date == dag.end_date
    assert task.schedule_interval == "@hourly"
    assert Echo(task_id="b", schedule_interval=timedelta(days=7)).schedule.next(datetime(2016, 2, 1, tzinfo=UTC)) == (
        datetime(2016, 2, 8, tzinfo=UTC)
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"retries": -1}, "retries must be a whole number >= 0, got -1"),
        ({"retries": "3"}, "retries must be a whole number >= 0, got '3'"),
        ({"retry_delay": "soon"}, "retry_delay must be a timedelta or a number of seconds, got 'soon'"),
        ({"retry_delay": timedelta(seconds=-1)}, "must be a timedelta or a number of seconds >= 0, got"),
        ({"retry_jitter": 1.5}, "retry_jitter must be a number from 0 to 1, got 1.5"),
        ({"execution_timeout": 0}, "execution_timeout must be more than 0 seconds, or None for no limit, got 0"),
        ({"trigger_rule": "all_sucess"}, "trigger_rule must be one of all_success, all_failed, .*, got 'all_sucess'"),
        ({"pool": "a b"}, "invalid pool 'a b'"),
        ({"queue": ""}, "invalid queue ''"),
        ({"pool_slots": 0}, "pool_slots must be a whole number >= 1, got 0"),
        ({"priority_weight": 1.5}, "priority_weight must be a whole number, got 1.5"),
        ({"depends_on_past": "yes"}, "depends_on_past must be True or False, got 'yes'"),
        ({"on_failure_callback": "mail"}, "on_failure_callback must be a function of the context, .*, got 'mail'"),
        ({"pre": ["x"]}, "pre must be an Action or a list of Actions, got \\['x'\\]"),
        ({"pre": [Action("x"), Action("x")]}, "actions with unique names"),
        ({"email": 7}, "email must be an e-mail address or a list of them, got 7"),
        ({"email": "ops"}, "email must be e-mail addresses such as ops@example.org .'ops' is none., got 'ops'"),
        ({"email": "a@b\nBcc: c@d"}, "email must be e-mail addresses such as ops@example.org"),
        ({"resources": {"gpus": 1}}, "must be a dict with 'cpus', 'memory' \\(bytes\\) and 'custom'"),
        ({"resources": {"cpus": -1}}, "must be a dict of numbers >= 0"),
        ({"env": {1: "x"}}, "env must be a dict of variables by name"),
        ({"task_id": "a/b"}, "invalid task_id 'a/b'"),
    ],
)
def test_a_setting_of_a_task_that_cannot_be_is_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        Echo(**{"task_id": "t", **settings})


def test_durations_may_be_seconds_and_callbacks_one_or_many() -> None:
    task = Echo(
        task_id="t", retry_delay=1.5, execution_timeout=90, on_failure_callback=print, on_success_callback=[print, len],
        resources={"cpus": 2, "memory": 1 << 30, "custom": {"gpu": 1}}, email="a@b.c",
    )  # fmt: skip
    assert task.retry_delay == timedelta(seconds=1.5)
    assert task.execution_timeout == timedelta(seconds=90)
    assert task.on_failure_callback == (print,)
    assert task.on_success_callback == (print, len)
    assert task.email == ("a@b.c",)
    assert task.resources["custom"] == {"gpu": 1}


class MySqlOperator(BaseOperator):
    """As the tutorial of Flux writes it, in a dozen lines."""

    template_fields = ("sql",)
    __mapper_args__ = {"polymorphic_identity": "MySqlOperator"}  # noqa: RUF012 - as Flux wanted it

    def __init__(self, sql: str, mysql_dbid: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.hook = SimpleNamespace(run=lambda sql: f"{mysql_dbid}: {sql}")
        self.sql = sql

    def execute(self, execution_date: datetime) -> str:
        return f"{execution_date:%Y} {self.hook.run(self.sql)}"


def test_the_operator_of_the_tutorial_runs_as_it_is_written() -> None:
    default_args = {"owner": "max", "mysql_dbid": "local_mysql"}
    task = MySqlOperator(task_id="test_task3", sql="select '{{ ds }}'", **default_args)
    assert str(task) == "<Task(MySqlOperator): test_task3>"
    assert attempt(task, day="2014-09-15").result == "2014 local_mysql: select '2014-09-15'"
    assert task.sql == "select '{{ ds }}'", "the attempt worked on a copy"


def test_template_fields_may_be_one_name() -> None:
    class One(Echo):
        template_fields = "text"  # a common mistake with one meaning

    assert attempt(One("{{ ds }}", task_id="t")).result == "2016-02-22"


def test_parameters_of_execute_are_filled_by_name() -> None:
    class Named(BaseOperator):
        def execute(self, ds: str, context: dict[str, Any], absent: int = 7, *, ti: Any, **rest: Any) -> Any:
            return [ds, context["ds"], absent, ti.task_id, "params" in rest, "ds" in rest]

    assert attempt(Named("t")).result == ["2016-02-22", "2016-02-22", 7, "t", True, False]


def test_an_unknown_parameter_is_named() -> None:
    class Odd(BaseOperator):
        def execute(self, when: str) -> None: ...

    with pytest.raises(CallError, match=r"execute\(\) needs 'when', which is neither an argument nor in the context"):
        attempt(Odd("t"))


def test_a_class_without_execute_says_so() -> None:
    with pytest.raises(NotImplementedError, match="BaseOperator must define execute"):
        attempt(BaseOperator("t"))


def test_a_field_that_holds_the_output_of_a_task_makes_a_link() -> None:
    with sample_dag() as dag:
        a = Echo("x", task_id="a")
        b = Echo(["{{ ds }}", {"of": a.output["part"]}], task_id="b")
        c = Echo(task_id="c")
        c.text = a.output
    assert list(b.upstream) == list(c.upstream) == ["a"]
    a >> b
    assert list(dag.get_task("b").upstream) == ["a"]
    with pytest.raises(DefinitionError, match="Dependency already registered"):
        a >> b
    with pytest.raises(TypeError, match="output of 'a' has no value while the DAG is defined"):
        list(a.output)
