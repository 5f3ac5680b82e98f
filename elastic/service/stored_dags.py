"""Stored DAGs: what a master knows of a DAG, read from the database and never from its file."""

import json
from collections import OrderedDict
from dataclasses import dataclass

from elastic.core.errors import ElasticError
from elastic.core.text import error_text
from elastic.dag.serialized_dag import SerializedDag, from_dict
from elastic.dag.timetable.interval import instant_of
from elastic.db.database import Database
from elastic.db.stores.dags import structure_of
from elastic.scheduler.decisions.dag_spec import DagSpec
from elastic.scheduler.decisions.due import Timetable

#: Structures that are kept in memory.
_MAX_KEPT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDag:
    """Version of a DAG, as plain values."""

    spec: DagSpec
    timetable: Timetable
    max_active_runs: int
    #: why its runs cannot be scheduled; empty if they can
    obstacle: str = ""


class StoredDags:
    """Reader of stored DAGs by the digest of their structure, with a cache.

    Args:
        database: The database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: OrderedDict[str, StoredDag] = OrderedDict()

    def get(self, digest: str) -> StoredDag:
        """Return the DAG with a structure.

        Raises:
            ElasticError: The structure is missing, or is not valid.
        """
        if digest in self._kept:
            self._kept.move_to_end(digest)
            return self._kept[digest]
        text = structure_of(self._database, digest)
        if text is None:
            raise ElasticError(f"the structure {digest[:12]} of the DAG is not stored; parse its file again.")
        try:
            found = stored_dag(from_dict(json.loads(text)))
        except ElasticError:
            raise
        except (ValueError, OverflowError, TypeError, RecursionError) as error:
            raise ElasticError(f"the structure {digest[:12]} is not valid ({error_text(error)}).") from error
        self._kept[digest] = found
        while len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)
        return found


def stored_dag(dag: SerializedDag) -> StoredDag:
    """Return the data of a DAG for a master, from the stored structure."""
    fields = dag.fields
    start, end = (instant_of(fields[name]) if fields[name] else None for name in ("start_date", "end_date"))
    obstacle = ""
    if fields["schedule"]["kind"] == "own":
        obstacle = (
            f"its schedule ({fields['schedule']['text']}) is a class of its own, which only its file can evaluate"
        )
    return StoredDag(
        spec=DagSpec.of_stored(dag),
        timetable=Timetable(schedule=dag.schedule, start_date=start, end_date=end, catchup=fields["catchup"]),
        max_active_runs=fields["max_active_runs"],
        obstacle=obstacle,
    )
