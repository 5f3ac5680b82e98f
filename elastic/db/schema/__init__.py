"""Tables of the metadata database. Importing this package defines all of them."""

from elastic.db.schema.dags import bundle, dag, dag_code, dag_structure, import_error
from elastic.db.schema.jobs import job, pool
from elastic.db.schema.logs import log, log_line
from elastic.db.schema.runs import dag_run, dag_run_attempt
from elastic.db.schema.secrets import connection, user, variable
from elastic.db.schema.tasks import task_attempt, task_instance, xcom
from elastic.db.schema.types import metadata

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
