"""Layout of a graph in layers: longest path, order by barycentres, positions by least squares.

The method is Sugiyama's (1981). The mean position of the neighbours gives the order in a layer. The positions are the
nearest ones to those means that keep a distance, computed by pooling adjacent violators.
"""

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

#: Sizes (SVG units of one pixel).
NODE_HEIGHT = 36
MIN_WIDTH = 96
MAX_WIDTH = 260
_LAYER_GAP = 56
_NODE_GAP = 16
_DUMMY_GAP = 10
_MARGIN = 12
#: Width of a character of a label, and the space for glyph and padding.
_CHARACTER_WIDTH = 7.3
_PADDING = 44
#: Number of characters for a count of copies, such as ` [1000]`.
_COPIES_CHARACTERS = 7

#: Sweeps that order the layers, and those that place the nodes.
_ORDER_SWEEPS = 8
_PLACE_SWEEPS = 6
#: Maximum number of points on long edges; with more, long edges are straight. The time grows with this number.
_MAX_DUMMIES = 6000


@dataclass(frozen=True, slots=True, kw_only=True)
class LaidNode:
    """Node with the position of its upper left corner."""

    node_id: str
    x: float
    y: float
    width: float
    height: float = NODE_HEIGHT


@dataclass(frozen=True, slots=True, kw_only=True)
class LaidEdge:
    """Edge as the path of an SVG."""

    source: str
    target: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Layout of a graph."""

    nodes: tuple[LaidNode, ...] = ()
    edges: tuple[LaidEdge, ...] = ()
    width: float = 0
    height: float = 0


def layout_of(nodes: Sequence[str], edges: Sequence[tuple[str, str]], mapped: Collection[str] = ()) -> Layout:
    """Return the layout of an acyclic graph from left to right; it is deterministic.

    Args:
        nodes: Ids, at most some thousands.
        edges: Pairs of source and target. Edges of a cycle are drawn, but do not affect the layout.
        mapped: Nodes whose labels include a number of copies.
    """
    if not nodes:
        return Layout()
    layers = _layers(nodes, edges)
    graph = _Layered({node: _width(node, is_mapped=node in mapped) for node in nodes}, edges, layers)
    graph.order()
    return graph.placed()


def _layers(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return the layer of each node: the length of the longest path to it. A node of a cycle keeps its first layer."""
    downstream: dict[str, list[str]] = {node: [] for node in nodes}
    missing = dict.fromkeys(nodes, 0)
    for source, target in edges:
        downstream[source].append(target)
        missing[target] += 1
    layers = dict.fromkeys(nodes, 0)
    ready = [node for node in nodes if not missing[node]]
    for node in ready:
        for other in downstream[node]:
            layers[other] = max(layers[other], layers[node] + 1)
            missing[other] -= 1
            if not missing[other]:
                ready.append(other)
    # Move a node without upstream nodes next to its nearest downstream node, which shortens its edges.
    upstream = {target for _, target in edges}
    for node in nodes:
        if node not in upstream and downstream[node]:
            layers[node] = max(0, min(layers[other] for other in downstream[node]) - 1)
    return layers


class _Layered:
    """Layers of vertices: nodes by their ids, and points on long edges by tuples."""

    def __init__(
        self, widths: Mapping[str, float], edges: Sequence[tuple[str, str]], layers: Mapping[str, int]
    ) -> None:
        self.node_layers, self.edges = layers, edges
        self.width = widths
        self.layers: list[list[object]] = [[] for _ in range(max(layers.values()) + 1)]
        for node in widths:
            self.layers[layers[node]].append(node)
        self.before: dict[object, list[object]] = {}
        self.after: dict[object, list[object]] = {}
        #: points of each edge between its ends
        self.points: dict[tuple[str, str], list[object]] = {}
        spans = sum(max(0, layers[target] - layers[source] - 1) for source, target in edges)
        for edge in edges:
            self._add(edge, with_points=spans <= _MAX_DUMMIES)

    def _add(self, edge: tuple[str, str], *, with_points: bool) -> None:
        source, target = edge
        first, last = self.node_layers[source], self.node_layers[target]
        if last <= first:
            return
        points: list[object] = [(edge, layer) for layer in range(first + 1, last)] if with_points else []
        for point, layer in zip(points, range(first + 1, last), strict=False):
            self.layers[layer].append(point)
        self.points[edge] = points
        chain = [source, *points, target]
        for left, right in itertools.pairwise(chain):
            self.after.setdefault(left, []).append(right)
            self.before.setdefault(right, []).append(left)

    def order(self) -> None:
        """Order each layer by the means of the positions of its neighbours, forwards and backwards."""
        place = {vertex: float(at) for layer in self.layers for at, vertex in enumerate(layer)}
        best, fewest = [list(layer) for layer in self.layers], self._crossings()
        for sweep in range(_ORDER_SWEEPS):
            is_forward = sweep % 2 == 0
            neighbours = self.before if is_forward else self.after
            for layer in self.layers if is_forward else reversed(self.layers):
                means = {one: _mean([place[other] for other in neighbours.get(one, ())], place[one]) for one in layer}
                layer.sort(key=lambda one, means=means: means[one])  # type: ignore[misc]
                place.update((one, float(at)) for at, one in enumerate(layer))
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(layer) for layer in self.layers], crossings
        self.layers = best

    def _crossings(self) -> int:
        """Return the number of edges that cross between neighbouring layers."""
        total = 0
        for left, right in zip(self.layers, self.layers[1:], strict=False):
            place = {vertex: at for at, vertex in enumerate(right)}
            ends = [
                place[other]
                for one in left
                for other in sorted(
                    (other for other in self.after.get(one, ()) if other in place), key=place.__getitem__
                )
            ]
            total += _inversions(ends, len(right))
        return total

    def placed(self) -> Layout:
        """Return the layout with coordinates."""
        y = self._rows()
        top = min(y[one] - _height(one) / 2 for layer in self.layers for one in layer)
        widths = [max([self.width[one] for one in layer if isinstance(one, str)] or [0.0]) for layer in self.layers]
        left, lefts = float(_MARGIN), []
        for width in widths:
            lefts.append(left)
            left += width + _LAYER_GAP
        nodes = tuple(
            LaidNode(
                node_id=one,
                x=round(lefts[at], 1),
                y=round(y[one] - top + _MARGIN - NODE_HEIGHT / 2, 1),
                width=self.width[one],
            )
            for at, layer in enumerate(self.layers)
            for one in layer
            if isinstance(one, str)
        )
        by_id = {node.node_id: node for node in nodes}
        edges = tuple(
            LaidEdge(source=source, target=target, path=self._path((source, target), by_id, y, top, lefts, widths))
            for source, target in self.edges
        )
        bottom = max(y[one] + _height(one) / 2 for layer in self.layers for one in layer)
        return Layout(
            nodes=nodes,
            edges=edges,
            width=round(left - _LAYER_GAP + _MARGIN, 1),
            height=round(bottom - top + 2 * _MARGIN, 1),
        )

    def _rows(self) -> dict[object, float]:
        """Return the vertical centre of each vertex."""
        y: dict[object, float] = {}
        for layer in self.layers:
            at = 0.0
            for one in layer:
                at += _height(one) / 2
                y[one] = at
                at += _height(one) / 2 + _gap(one)
        for sweep in range(_PLACE_SWEEPS):
            is_forward = sweep % 2 == 0
            neighbours = self.before if is_forward else self.after
            for layer in self.layers if is_forward else reversed(self.layers):
                wanted = [_mean([y[other] for other in neighbours.get(one, ())], y[one]) for one in layer]
                y.update(zip(layer, _apart(layer, wanted), strict=True))
        return y

    def _path(
        self,
        edge: tuple[str, str],
        nodes: Mapping[str, LaidNode],
        y: Mapping[object, float],
        top: float,
        lefts: Sequence[float],
        widths: Sequence[float],
    ) -> str:
        source, target = nodes[edge[0]], nodes[edge[1]]
        stops = [(source.x + source.width, source.y + NODE_HEIGHT / 2)]
        first = self.node_layers[edge[0]]
        for at, point in enumerate(self.points.get(edge, ()), first + 1):
            height = y[point] - top + _MARGIN
            stops += [(lefts[at], height), (lefts[at] + widths[at], height)]
        stops.append((target.x, target.y + NODE_HEIGHT / 2))
        parts = [f"M{_number(stops[0][0])} {_number(stops[0][1])}"]
        for at in range(1, len(stops)):
            (x1, y1), (x2, y2) = stops[at - 1], stops[at]
            middle = _number((x1 + x2) / 2)
            if abs(y1 - y2) < 0.05:
                parts.append(f"H{_number(x2)}")
            else:
                parts.append(f"C{middle} {_number(y1)} {middle} {_number(y2)} {_number(x2)} {_number(y2)}")
        return "".join(parts)


def _apart(layer: Sequence[object], wanted: Sequence[float]) -> list[float]:
    """Return the positions nearest to the wanted ones that keep the order and the distances of a layer."""
    offsets, at = [], 0.0
    for before, one in zip([None, *layer], layer, strict=False):
        if before is not None:
            at += _height(before) / 2 + _gap(before) + _height(one) / 2
        offsets.append(at)
    blocks: list[tuple[float, int]] = []
    for value in (want - offset for want, offset in zip(wanted, offsets, strict=True)):
        mean, count = value, 1
        while blocks and blocks[-1][0] > mean:
            other, size = blocks.pop()
            mean, count = (mean * count + other * size) / (count + size), count + size
        blocks.append((mean, count))
    means = [mean for mean, count in blocks for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _inversions(values: Sequence[int], size: int) -> int:
    """Return the number of pairs in the wrong order, by a Fenwick tree."""
    tree = [0] * (size + 1)
    total = 0
    for seen, value in enumerate(values):
        at, smaller = value + 1, 0
        while at > 0:
            smaller += tree[at]
            at -= at & -at
        total += seen - smaller
        at = value + 1
        while at <= size:
            tree[at] += 1
            at += at & -at
    return total


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _height(vertex: object) -> float:
    return NODE_HEIGHT if isinstance(vertex, str) else 0.0


def _gap(vertex: object) -> float:
    return _NODE_GAP if isinstance(vertex, str) else _DUMMY_GAP


def _width(node: str, *, is_mapped: bool) -> float:
    count = len(node) + (_COPIES_CHARACTERS if is_mapped else 0)
    return round(min(MAX_WIDTH, max(MIN_WIDTH, count * _CHARACTER_WIDTH + _PADDING)), 1)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
