"""Order of the arrivals that a transport reports together."""

import pytest

from elastic.core.ledger.events import NodeLost, WorkerJoined
from elastic.stages.ray_backend.pending_calls import PendingCalls


@pytest.mark.cluster
def test_a_worker_that_joins_a_lost_node_does_not_bring_it_back(embedded_ray: None) -> None:
    import ray

    calls = PendingCalls()
    calls.add(ray.put(1), lambda ref: [WorkerJoined("node", f"node/{ray.get(ref)}", on_master=False)])
    calls.report(NodeLost("node", "node node has left the cluster"))
    assert list(map(type, calls.poll(timeout=1.0))) == [WorkerJoined, NodeLost]
    assert calls.poll(timeout=0.0) == []
