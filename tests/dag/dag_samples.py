"""Operators, actions and functions for the tests of DAGs."""

from typing import Any

from elastic.dag.context import ContextServices
from elastic.dag.dag import DAG
from elastic.dag.execution.action import Action
from elastic.dag.execution.build_context import build_context
from elastic.dag.execution.execute import TaskOutcome, execute
from elastic.dag.operator import BaseOperator

DAY = "2016-02-22"


class Echo(BaseOperator):
    """Returns its argument."""

    template_fields = ("text",)
    template_ext = (".sql",)

    def __init__(self, text: Any = "", **settings: Any) -> None:
        super().__init__(**settings)
        self.text = text

    def execute(self) -> Any:
        return self.text


class Noted(Action):
    """Records its calls in a list shared by all copies, and fails in the given methods."""

    def run(self) -> None:
        self.note("run")

    def rollback(self) -> None:
        self.note("rollback")

    def cleanup(self) -> None:
        self.note("cleanup")

    def note(self, what: str) -> None:
        self.context["params"]["notes"].append(f"{self.name} {what}")
        if what in self.arguments.get("fails", ()):
            raise RuntimeError(f"{self.name} fails to {what}")


def sample_dag(dag_id: str = "sample", **settings: Any) -> DAG:
    return DAG(dag_id, **{"start_date": DAY, "schedule": "@daily", **settings})


def attempt(task: BaseOperator, *, day: str = DAY, services: ContextServices | None = None, **info: Any) -> TaskOutcome:
    """Run one attempt for a day."""
    return execute(task, build_context(task, task.attempt_info(day, **info), services))


def rendered(text: Any, *, day: str = DAY, dag: DAG | None = None, conf: Any = None, **settings: Any) -> Any:
    """Return a template rendered in a task of a DAG."""
    task = Echo(text, task_id="echo", dag=dag or sample_dag(), **settings)
    return attempt(task, day=day, conf=conf or {}).result
