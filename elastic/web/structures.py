"""Stored structures of DAGs for the pages, read once for each digest."""

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from elastic.core.errors import ElasticError
from elastic.core.text import error_text
from elastic.dag.serialized_dag import SerializedDag, from_dict
from elastic.dag.states.state import TaskState
from elastic.db.database import Database
from elastic.db.stores.dags import structure_of
from elastic.service.stored_dags import StoredDag, stored_dag
from elastic.web.views.graph import Graph, graph_of, has_count, shape_of
from elastic.web.views.graph_layout import Layout, layout_of
from elastic.web.views.grid_rows import GridRow, grid_rows

#: Maximum number of structures in memory.
_MAX_KEPT = 50


@dataclass(frozen=True, slots=True)
class Structure:
    """Version of a DAG for the pages."""

    digest: str
    dag: SerializedDag
    #: the parts that commands need
    stored: StoredDag
    rows: tuple[GridRow, ...]


_kept: OrderedDict[str, Structure] = OrderedDict()
#: by digest and root
_layouts: OrderedDict[tuple[str, str], Layout] = OrderedDict()
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


def graph(
    found: Structure, root: str, states: Mapping[str, TaskState | None], copies: Mapping[str, int]
) -> Graph | None:
    """Return the graph of a structure, or of the tasks around one of its tasks or in a group.

    Args:
        found: The structure.
        root: Task or group; empty for the whole DAG.
        states: State of each task in a run.
        copies: Number of copies of mapped tasks.

    Returns:
        The graph; None if there is no such task or group.
    """
    shape = shape_of(found.dag, found.rows, root)
    if shape is None:
        return None
    with _lock:
        kept = _layouts.get((found.digest, root))
    if kept is None:
        kept = layout_of(shape.nodes, shape.edges, has_count(found.dag, shape))
        with _lock:
            _layouts[found.digest, root] = kept
            while len(_layouts) > _MAX_KEPT:
                _layouts.popitem(last=False)
    return graph_of(found.dag, shape, kept, states, copies)


def _parsed(digest: str, text: str) -> Structure:
    try:
        dag = from_dict(json.loads(text))
        return Structure(digest, dag, stored_dag(dag), tuple(grid_rows(dag)))
    except (ElasticError, ValueError, OverflowError, TypeError, RecursionError) as error:
        raise ElasticError(f"the structure {digest[:12]} of the DAG is not valid ({error_text(error)}).") from error
