"""Graph of a DAG with the states of a run, for a template. A large DAG shows its outermost groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from elastic.dag.serialized_dag import SerializedDag
from elastic.dag.states.state import TaskState, state_of_copies
from elastic.web.views.graph_layout import Layout
from elastic.web.views.grid_rows import GridRow, rows_below

#: Maximum number of tasks; a larger DAG shows groups instead.
MOST_TASKS = 300

#: Width of a character of a label, and the space for its glyph.
_CHARACTER_WIDTH = 7.3
_PADDING = 44


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphShape:
    """Nodes and edges of a graph, without positions and states."""

    nodes: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]
    #: tasks of each node that is a group
    groups: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphNode:
    """Task or group in the graph."""

    node_id: str
    x: float
    y: float
    width: float
    height: float
    #: the id, shortened to the width
    label: str
    #: class of the operator; empty for a group
    operator: str
    state: TaskState | None
    #: whether the run has the task, or a task of the group
    is_there: bool
    is_group: bool
    #: ids of the nodes before it
    upstream: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Graph of a DAG."""

    nodes: tuple[GraphNode, ...]
    layout: Layout
    #: whether groups replace their tasks
    is_folded: bool


def shape_of(dag: SerializedDag, rows: Sequence[GridRow], root: str = "") -> GraphShape | None:
    """Return the graph of a DAG, or of the tasks around one of its tasks or in a group.

    Args:
        dag: The DAG.
        rows: Rows of its grid.
        root: Task or group; empty for the whole DAG, in which groups replace their tasks if it is large.

    Returns:
        The graph; None if there is no such task or group.
    """
    around = rows_below(dag, rows, root) if root else rows
    if around is None:
        return None
    tasks = [row for row in around if not row.is_group]
    is_folded = not root and len(tasks) > MOST_TASKS
    place = {row.row_id: row.groups[-1] if is_folded and row.groups else row.row_id for row in tasks}
    pairs = ((place[one], place[other]) for one in place for other in dag.tasks[one].downstream if other in place)
    groups: dict[str, list[str]] = {}
    for task_id, node in place.items():
        if node != task_id:
            groups.setdefault(node, []).append(task_id)
    return GraphShape(
        nodes=tuple(dict.fromkeys(place.values())),
        edges=tuple(dict.fromkeys(pair for pair in pairs if pair[0] != pair[1])),
        groups=groups,
    )


def graph_of(
    dag: SerializedDag,
    shape: GraphShape,
    layout: Layout,
    states: Mapping[str, TaskState | None],
    copies: Mapping[str, int],
) -> Graph:
    """Return a graph with the states of one run; without states, all tasks are drawn as absent."""
    upstream: dict[str, list[str]] = {}
    for source, target in shape.edges:
        upstream.setdefault(target, []).append(source)
    nodes = []
    for node in layout.nodes:
        members = shape.groups.get(node.node_id)
        there = [states[one] for one in members or (node.node_id,) if one in states]
        nodes.append(
            GraphNode(
                node_id=node.node_id,
                x=node.x,
                y=node.y,
                width=node.width,
                height=node.height,
                label=_shortened(node.node_id, node.width, _suffix(dag, node.node_id, members, copies)),
                operator="" if members else dag.tasks[node.node_id].fields["operator_type"],
                state=there[0] if len(there) == 1 else state_of_copies(there),
                is_there=bool(there),
                is_group=bool(members),
                upstream=upstream.get(node.node_id, ()),
            )
        )
    return Graph(nodes=tuple(nodes), layout=layout, is_folded=bool(shape.groups))


def has_count(dag: SerializedDag, shape: GraphShape) -> set[str]:
    """Return the nodes whose labels have a number: groups, and mapped tasks."""
    return {one for one in shape.nodes if one in shape.groups or dag.tasks[one].fields["is_mapped"]}


def _suffix(dag: SerializedDag, node_id: str, members: Sequence[str] | None, copies: Mapping[str, int]) -> str:
    if members:
        return f" ({len(members)})"
    if node_id in copies:
        return f" [{copies[node_id]}]"
    return " [ ]" if dag.tasks[node_id].fields["is_mapped"] else ""


def _shortened(text: str, width: float, suffix: str) -> str:
    room = int((width - _PADDING) / _CHARACTER_WIDTH)
    if len(text) + len(suffix) <= max(room, 6):
        return text + suffix
    return text[: max(room - len(suffix) - 1, 4)] + "…" + suffix
