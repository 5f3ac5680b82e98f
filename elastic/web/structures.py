"""Stored structures of DAGs for the pages, read once for each digest."""

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass

from elastic.core.errors import ElasticError
from elastic.core.text import error_text
from elastic.dag.serialized_dag import SerializedDag, from_dict
from elastic.db.database import Database
from elastic.db.stores.dags import structure_of
from elastic.service.stored_dags import StoredDag, stored_dag
from elastic.web.views.graph_layout import Layout, layout_of
from elastic.web.views.grid_rows import GridRow, grid_rows

#: Structures that are kept in memory.
_MAX_KEPT = 50


@dataclass(frozen=True, slots=True)
class Structure:
    """Version of a DAG as the pages use it."""

    digest: str
    dag: SerializedDag
    #: what the commands need of it
    stored: StoredDag
    rows: tuple[GridRow, ...]


_kept: OrderedDict[str, Structure] = OrderedDict()
_layouts: OrderedDict[str, Layout] = OrderedDict()
_lock = threading.Lock()


def structure(database: Database, digest: str | None) -> Structure | None:
    """Return the structure with a digest, or None if it is not stored.

    Raises:
        ElasticError: The stored structure is not valid.
    """
    if digest is None:
        return None
    with _lock:
        if digest in _kept:
            _kept.move_to_end(digest)
            return _kept[digest]
    text = structure_of(database, digest)
    found = None if text is None else _parsed(digest, text)
    if found is not None:
        with _lock:
            _kept[digest] = found
            while len(_kept) > _MAX_KEPT:
                _kept.popitem(last=False)
    return found


def layout(found: Structure) -> Layout:
    """Return the layout of the graph of a structure."""
    with _lock:
        kept = _layouts.get(found.digest)
    if kept is None:
        tasks = found.dag.tasks.values()
        edges = [(task.task_id, one) for task in tasks for one in task.downstream]
        mapped = {task.task_id for task in tasks if task.fields["is_mapped"]}
        kept = layout_of([task.task_id for task in tasks], edges, mapped)
        with _lock:
            _layouts[found.digest] = kept
            while len(_layouts) > _MAX_KEPT:
                _layouts.popitem(last=False)
    return kept


def _parsed(digest: str, text: str) -> Structure:
    try:
        dag = from_dict(json.loads(text))
        return Structure(digest, dag, stored_dag(dag), tuple(grid_rows(dag)))
    except (ElasticError, ValueError, OverflowError, TypeError, RecursionError) as error:
        raise ElasticError(f"the structure {digest[:12]} of the DAG is not valid ({error_text(error)}).") from error
