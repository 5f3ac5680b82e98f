"""Functions for the tests of operators."""

from typing import Any

from elastic.dag.context import ContextServices
from elastic.dag.dag import DAG
from elastic.dag.execution.build_context import build_context
from elastic.dag.execution.execute import TaskOutcome, execute
from elastic.dag.operator import BaseOperator

DAY = "2016-02-22"


def sample_dag(dag_id: str = "sample", **settings: Any) -> DAG:
    return DAG(dag_id, **{"start_date": DAY, "schedule": "@daily", **settings})


def attempt(task: BaseOperator, *, services: ContextServices | None = None, **facts: Any) -> TaskOutcome:
    """Run one attempt for the sample day."""
    return execute(task, build_context(task, task.attempt_info(DAY, **facts), services))
