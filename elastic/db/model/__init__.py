"""The tables, one per file. Importing this package knows them all."""

from elastic.db.model.bundle import bundle
from elastic.db.model.connection import connection
from elastic.db.model.dag import dag
from elastic.db.model.dag_code import dag_code
from elastic.db.model.dag_run import dag_run
from elastic.db.model.dag_run_attempt import dag_run_attempt
from elastic.db.model.dag_structure import dag_structure
from elastic.db.model.import_error import import_error
from elastic.db.model.job import job
from elastic.db.model.log import log
from elastic.db.model.log_line import log_line
from elastic.db.model.pool import pool
from elastic.db.model.schema import metadata
from elastic.db.model.task_attempt import task_attempt
from elastic.db.model.task_instance import task_instance
from elastic.db.model.user import user
from elastic.db.model.variable import variable
from elastic.db.model.xcom import xcom

__all__ = [
    "bundle",
    "connection",
    "dag",
    "dag_code",
    "dag_run",
    "dag_run_attempt",
    "dag_structure",
    "import_error",
    "job",
    "log",
    "log_line",
    "metadata",
    "pool",
    "task_attempt",
    "task_instance",
    "user",
    "variable",
    "xcom",
]
