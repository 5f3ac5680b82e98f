"""Sharded results on a cluster of two nodes, the second of which may not see the folder of the run."""

from collections import Counter
from pathlib import Path
from textwrap import dedent

import pytest
from cluster_driver import RENDEZVOUS, printed_by, run_driver

from elastic.testing import RayCluster

pytestmark = pytest.mark.cluster

DRIVER = """
import json, sys
import polars as pl
import elastic, rendezvous
from elastic.aggregators import FrameCount
from elastic.interceptors import Counters

port = rendezvous.hold()

def keys(number):
    rendezvous.meet(port)
    return [f"k{(number * 7919 + index * 31) % 500}" for index in range(10)]

def rows(numbers):
    return pl.DataFrame({"key": [f"k{number % 700}" for number in numbers["entry"]]})

counters = Counters()
flow = elastic.from_range(2000, chunk_size=5).flat_map(keys).aggregate("count")
result = flow.run(shards=3, home=sys.argv[1], interceptor=counters, max_chunks_per_call=4)
frames = elastic.from_range(2000, chunk_size=5).map_frames(rows).aggregate(FrameCount())
framed = frames.run(shards=3, home=sys.argv[1], max_chunks_per_call=4)
ok = all(elastic.verify(each.run_id, home=sys.argv[1]).ok for each in (result, framed))
print(json.dumps({"value": dict(result.value), "nodes": counters.entries, "digest": result.value.digest,
                  "rows": dict(framed.value.iter_rows()), "ok": ok, "retries": result.retries}))
"""


@pytest.mark.parametrize("seen", [True, False], ids=["shared", "hidden"])
def test_keys_are_counted_on_both_nodes(ray_nodes: RayCluster, tmp_path: Path, *, seen: bool) -> None:
    if not seen and not ray_nodes.hidden_from:
        pytest.skip("this process may not hide a folder from a node (no mount namespaces)")
    home = tmp_path / "home" if seen else ray_nodes.folder / "hidden" / "home"
    (tmp_path / "rendezvous.py").write_text(RENDEZVOUS)
    script = tmp_path / "driver.py"
    script.write_text(dedent(DRIVER))
    told = printed_by(run_driver(script, ray_nodes, str(home)))
    expected = Counter(f"k{(number * 7919 + index * 31) % 500}" for number in range(2000) for index in range(10))
    assert told["value"] == expected
    assert told["rows"] == Counter(f"k{number % 700}" for number in range(2000))
    assert len(told["nodes"]) == 2
    assert told["ok"]
