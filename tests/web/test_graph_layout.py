"""Layout of graphs: layers, distances, and limits."""

import random
import time
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from elastic.web.views.graph_layout import NODE_HEIGHT, Layout, layout_of


def places(layout: Layout) -> dict[str, tuple[float, float]]:
    return {node.node_id: (node.x, node.y) for node in layout.nodes}


def test_no_nodes_have_an_empty_layout() -> None:
    assert layout_of([], []) == Layout()


def test_each_task_stands_right_of_its_upstream_tasks() -> None:
    edges = [("a", "b"), ("b", "c"), ("a", "c"), ("c", "d")]
    found = places(layout_of(["a", "b", "c", "d"], edges))
    assert all(found[source][0] < found[target][0] for source, target in edges)


def test_a_source_stands_beside_its_first_downstream_task() -> None:
    found = places(layout_of(["a", "b", "c", "late"], [("a", "b"), ("b", "c"), ("late", "c")]))
    assert found["late"][0] == found["b"][0]


def test_crossings_that_an_order_avoids_are_avoided() -> None:
    found = places(layout_of(["a", "b", "x", "y"], [("a", "y"), ("b", "x")]))
    assert (found["a"][1] < found["b"][1]) == (found["y"][1] < found["x"][1])


def test_a_chain_is_a_straight_line() -> None:
    names = [f"t{number}" for number in range(20)]
    layout = layout_of(names, list(pairwise(names)))
    assert len({node.y for node in layout.nodes}) == 1
    assert all("C" not in edge.path for edge in layout.edges)


def test_a_cycle_is_drawn() -> None:
    layout = layout_of(["a", "b", "c"], [("a", "b"), ("b", "a"), ("b", "c")])
    assert len(layout.nodes) == 3
    assert len(layout.edges) == 3


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 25), st.lists(st.tuples(st.integers(0, 24), st.integers(0, 24)), max_size=60))
def test_nodes_never_overlap_and_stay_inside(count: int, pairs: list[tuple[int, int]]) -> None:
    names = [f"task_{number}" for number in range(count)]
    edges = sorted({(names[a], names[b]) for a, b in pairs if a < b < count})
    layout = layout_of(names, edges)
    assert {node.node_id for node in layout.nodes} == set(names)
    assert layout == layout_of(names, edges)
    boxes = sorted((node.x, node.y, node.width) for node in layout.nodes)
    for at, (x, y, width) in enumerate(boxes):
        assert 0 <= x <= x + width <= layout.width
        assert 0 <= y <= y + NODE_HEIGHT <= layout.height
        for other_x, other_y, _ in boxes[at + 1 :]:
            assert other_x != x or abs(other_y - y) >= NODE_HEIGHT


def test_two_thousand_tasks_with_long_edges_have_a_layout_soon() -> None:
    rng = random.Random(1)
    names = [f"t{number}" for number in range(2000)]
    edges = sorted({(names[rng.randrange(max(0, at - 300), at)], names[at]) for at in range(1, 2000) for _ in "xx"})
    begun = time.process_time()
    layout = layout_of(names, edges)
    assert len(layout.nodes) == 2000
    assert time.process_time() - begun < 10
