"""Queue a run of a stored DAG without loading the DAG file."""

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from elastic.core.errors import UsageError
from elastic.dag.serialized_dag import from_dict
from elastic.db.database import Database
from elastic.db.errors import UnknownRowError
from elastic.db.records import DagRun
from elastic.db.schema import dag as table
from elastic.db.stores.dags import structure_of
from elastic.scheduler.catalog.dag_catalog import Digests
from elastic.scheduler.commands.trigger import RunRequest, queue_run
from elastic.scheduler.decisions.dag_spec import DagSpec


def trigger_stored(
    database: Database,
    dag_id: str,
    date: dt.datetime | None,
    run_id: str | None = None,
    conf: Mapping[str, Any] | None = None,
) -> DagRun:
    """Queue a run of the latest version of a DAG, for a master of the scheduler service.

    Args:
        database: The database.
        dag_id: The DAG.
        date: Logical date; None for now.
        run_id: Id of the run; None for an id made from the date.
        conf: Parameters for the tasks.

    Raises:
        UnknownRowError: The DAG is not stored.
        UsageError: The DAG is gone from its file, or as in `queue_run`.
        InvalidKeyError: The id of the run contains invalid characters.
        SerializedDagError: The stored structure is not valid.
    """
    query = select(table.c.is_active, table.c.structure_digest, table.c.source_digest).where(table.c.dag_id == dag_id)
    row = database.query(lambda connection: connection.execute(query).one_or_none())
    if row is None:
        raise UnknownRowError("DAG", dag_id, "`elastic dags list` lists them")
    structure = structure_of(database, row.structure_digest or "")
    if not row.is_active or structure is None:
        raise UsageError(f"DAG {dag_id!r} is no longer in its file; restore the file and trigger the DAG again.")
    dag = from_dict(json.loads(structure))
    request = RunRequest(date=date, run_id=run_id, conf=conf or {})
    digests = Digests(row.source_digest, row.structure_digest)
    return queue_run(database, DagSpec.of_stored(dag), dag.schedule, digests, request)
