"""Graph of a DAG with the states of a run, as a template draws it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from elastic.dag.serialized_dag import SerializedDag
from elastic.dag.states.state import TaskState
from elastic.web.views.graph_layout import Layout

#: Width of a character of a label, and the room for its glyph.
_CHARACTER_WIDTH = 7.3
_PADDING = 44


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphNode:
    """Task in the graph."""

    task_id: str
    x: float
    y: float
    width: float
    height: float
    #: the id, shortened to the width
    label: str
    operator: str
    state: TaskState | None
    #: whether the run has the task
    is_there: bool
    #: ids of the direct upstream and downstream tasks
    upstream: Sequence[str]
    downstream: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Graph of a DAG."""

    nodes: tuple[GraphNode, ...]
    layout: Layout


def graph_of(
    dag: SerializedDag, layout: Layout, states: Mapping[str, TaskState | None], copies: Mapping[str, int]
) -> Graph:
    """Return the graph of a DAG with the states of one run; without states, all tasks are drawn as not there."""
    nodes = []
    for node in layout.nodes:
        task = dag.tasks[node.node_id]
        count = copies.get(node.node_id)
        suffix = f" [{count}]" if count else " [ ]" if task.fields["is_mapped"] else ""
        nodes.append(
            GraphNode(
                task_id=node.node_id,
                x=node.x,
                y=node.y,
                width=node.width,
                height=node.height,
                label=_shortened(node.node_id, node.width, suffix),
                operator=task.fields["operator_type"],
                state=states.get(node.node_id),
                is_there=node.node_id in states,
                upstream=task.upstream,
                downstream=task.downstream,
            )
        )
    return Graph(nodes=tuple(nodes), layout=layout)


def _shortened(text: str, width: float, suffix: str) -> str:
    room = int((width - _PADDING) / _CHARACTER_WIDTH)
    if len(text) + len(suffix) <= max(room, 6):
        return text + suffix
    return text[: max(room - len(suffix) - 1, 4)] + "…" + suffix
