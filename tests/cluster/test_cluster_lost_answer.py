"""Nodes and workers whose first answers are lost."""

import json
from pathlib import Path

import pytest
from cluster_driver import RENDEZVOUS, printed_by, run_driver

from elastic.testing import RayCluster

pytestmark = pytest.mark.cluster

DRIVER = """
import json, sys
import elastic, rendezvous

port = rendezvous.hold()

def work(number):
    rendezvous.meet(port)
    return number

result = elastic.from_range(1000, chunk_size=10).map(work).aggregate("sum").run()
print(json.dumps({"value": result.value}))
"""


@pytest.mark.parametrize("count", [1, 5])
def test_the_first_answers_that_are_lost_do_not_keep_a_node_from_taking_part(
    ray_nodes: RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    losing = {"CoreWorkerService.grpc_client.PushTask": {"num_failures": count, "resp_failure_prob": 100}}
    monkeypatch.setitem(ray_nodes.environment, "RAY_testing_rpc_failure", json.dumps(losing))
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    (tmp_path / "rendezvous.py").write_text(RENDEZVOUS)
    # The driver waits for workers of two nodes.
    assert printed_by(run_driver(script, ray_nodes))["value"] == sum(range(1000))
