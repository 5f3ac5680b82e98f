"""Tables of the metadata database. Importing this package defines all of them."""

from elastic.db.schema.backfills import backfill
from elastic.db.schema.dags import bundle, dag, dag_code, dag_structure, import_error
from elastic.db.schema.deadlines import deadline
from elastic.db.schema.jobs import job, pool
from elastic.db.schema.logs import log, log_line
from elastic.db.schema.notifications import notification
from elastic.db.schema.runs import dag_run, dag_run_attempt
from elastic.db.schema.scheduling import dag_cursor, dag_file, dag_version, run_callback, run_claim
from elastic.db.schema.secrets import connection, variable
from elastic.db.schema.tasks import task_attempt, task_instance, task_trigger, xcom
from elastic.db.schema.types import metadata
from elastic.db.schema.users import api_token, idempotency_key, login_try, session, user_account

__all__ = [
    "api_token",
    "backfill",
    "bundle",
    "connection",
    "dag",
    "dag_code",
    "dag_cursor",
    "dag_file",
    "dag_run",
    "dag_run_attempt",
    "dag_structure",
    "dag_version",
    "deadline",
    "idempotency_key",
    "import_error",
    "job",
    "log",
    "log_line",
    "login_try",
    "metadata",
    "notification",
    "pool",
    "run_callback",
    "run_claim",
    "session",
    "task_attempt",
    "task_instance",
    "task_trigger",
    "user_account",
    "variable",
    "xcom",
]
