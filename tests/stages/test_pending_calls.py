"""What a transport hears of its nodes at the same time."""

import pytest

from elastic.core.ledger.events import NodeLost, WorkerJoined
from elastic.stages.ray_backend.node import PendingCalls


@pytest.mark.cluster
def test_a_worker_that_joins_a_lost_node_does_not_bring_it_back(embedded_ray: None) -> None:
    import ray

    watch = PendingCalls()
    watch.pending[ray.put(1)] = lambda ref: [WorkerJoined("node", f"node/{ray.get(ref)}", on_master=False)]
    watch.arrived.append(NodeLost("node", "node node has left the cluster"))
    assert list(map(type, watch.ready(timeout=1.0))) == [WorkerJoined, NodeLost]
    assert watch.ready(timeout=0.0) == []
