"""Operators: classes of tasks."""

from typing import TYPE_CHECKING, Any

from elastic._lazy import attach

if TYPE_CHECKING:
    from elastic.dag.operator import BaseOperator
    from elastic.operators.bash import BashOperator
    from elastic.operators.branch import BranchOperator, ShortCircuitOperator
    from elastic.operators.decorators import dag, task
    from elastic.operators.flow import FlowOperator
    from elastic.operators.python import EmptyOperator, PythonOperator
    from elastic.operators.sql import MySqlOperator, PostgresOperator, SqliteOperator, SqlOperator
    from elastic.operators.transfer import FileToTableOperator, SqlToFileOperator, SqlToSqlOperator
    from elastic.operators.trigger_dag_run import TriggerDagRunOperator

__all__ = [
    # base class of operators
    "BaseOperator",
    # commands and functions
    "BashOperator",
    "PythonOperator",
    "BranchOperator",
    "ShortCircuitOperator",
    "EmptyOperator",
    # flows as distributed steps
    "FlowOperator",
    # functions as tasks and DAGs
    "task",
    "dag",
    # SQL statements
    "SqlOperator",
    "SqliteOperator",
    "PostgresOperator",
    "MySqlOperator",
    # runs of other DAGs
    "TriggerDagRunOperator",
    # transfers of rows
    "SqlToSqlOperator",
    "SqlToFileOperator",
    "FileToTableOperator",
]

#: Where each name lives: imported when it is first used, so that a DAG file loads only what it names.
_HOMES = {
    "elastic.dag.operator": ("BaseOperator",),
    "elastic.operators.bash": ("BashOperator",),
    "elastic.operators.branch": ("BranchOperator", "ShortCircuitOperator"),
    "elastic.operators.decorators": ("dag", "task"),
    "elastic.operators.flow": ("FlowOperator",),
    "elastic.operators.python": ("EmptyOperator", "PythonOperator"),
    "elastic.operators.sql": ("SqlOperator", "SqliteOperator", "PostgresOperator", "MySqlOperator"),
    "elastic.operators.trigger_dag_run": ("TriggerDagRunOperator",),
    "elastic.operators.transfer": ("SqlToSqlOperator", "SqlToFileOperator", "FileToTableOperator"),
}

#: Names of earlier frameworks.
_ALIASES = {"DummyOperator": "EmptyOperator", "BranchPythonOperator": "BranchOperator"}


def _plugin(name: str) -> Any:
    from elastic.plugins.plugin import find

    return find("elastic.operators", name)


__getattr__, __dir__ = attach(__name__, _HOMES, _ALIASES, _plugin)
