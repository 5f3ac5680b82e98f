"""Driver scripts on a cluster of two nodes, started with `ray start`."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from cluster_driver import RENDEZVOUS, printed_by, run_driver

from elastic.testing import RayCluster

pytestmark = pytest.mark.cluster


def words_in(path: Path, lines: int = 4000) -> Counter[str]:
    text = "".join(f"word{n % 7} word{n % 13} {n}\n" for n in range(lines))
    path.write_text(text)
    return Counter(text.split())


def drive(folder: Path, nodes: RayCluster, source: str, *arguments: str) -> dict[str, Any]:
    """Run a driver that prints one JSON object, and return the object."""
    script = folder / "driver.py"
    script.write_text(dedent(source))
    (folder / "rendezvous.py").write_text(RENDEZVOUS)
    return printed_by(run_driver(script, nodes, *arguments))


def test_words_are_counted_on_both_nodes(ray_nodes: RayCluster, tmp_path: Path) -> None:
    expected = words_in(tmp_path / "text.txt")
    told = drive(
        tmp_path, ray_nodes, """
        import json, sys
        import elastic, rendezvous
        from elastic.aggregators import Count
        from elastic.interceptors import Counters

        port = rendezvous.hold()

        def split(line):
            rendezvous.meet(port)
            return line.split()

        counters = Counters()
        flow = elastic.read_text(sys.argv[1], chunk_bytes=500).flat_map(split).aggregate(Count())
        result = flow.run(interceptor=counters, max_chunks_per_call=4)
        print(json.dumps({"value": result.value, "nodes": counters.entries, "state": result.state,
                          "receipts": result.receipts, "chunks": result.chunks}))
        """, str(tmp_path / "text.txt"),
    )  # fmt: skip
    assert told["value"] == expected
    assert told["state"] == "complete"
    assert len(told["nodes"]) == 2
    assert sum(told["nodes"].values()) == 4000
    assert set(told["receipts"].values()) == {told["chunks"]}


def test_the_command_counts_words_on_the_cluster(ray_nodes: RayCluster, tmp_path: Path) -> None:
    expected = words_in(tmp_path / "text.txt", 500)
    command = [sys.executable, "-m", "elastic", "example", "word-count", "text.txt", "--separator", " ", "-o", "json"]
    environment = {**ray_nodes.environment, "ELASTIC_HOME": os.environ["ELASTIC_HOME"]}
    for cluster in (["--cluster", ray_nodes.address], []):
        done = subprocess.run(
            [*command, *cluster], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        printed = json.loads(done.stdout)
        assert printed["words_total"] == expected.total()
        assert printed["words_distinct"] == len(expected)
        assert [tuple(pair) for pair in printed["top"]] == sorted(expected.items(), key=lambda w: (-w[1], w[0]))[:10]


def test_classes_and_lambdas_of_the_script_work_on_all_nodes(ray_nodes: RayCluster, tmp_path: Path) -> None:
    told = drive(
        tmp_path, ray_nodes, """
        import json
        import elastic

        class Longest(elastic.Aggregator):
            def create(self): return ""
            def add(self, state, entry): return max(state, entry, key=lambda word: (len(word), word))
            def merge(self, state, other): return self.add(state, other)
            def finish(self, state): return state

        flow = elastic.from_iterable((f"w{n}" for n in range(5000)), chunk_size=50)
        result = flow.map(lambda word: word + "!").aggregate(Longest()).run(cluster="auto")
        print(json.dumps({"value": result.value, "entries": result.entries}))
        """,
    )  # fmt: skip
    assert told == {"value": "w4999!", "entries": 5000}


def test_modules_beside_the_script_are_taken_along(ray_nodes: RayCluster) -> None:
    # The second node does not see this folder if this process may hide it.
    folder = ray_nodes.folder / "hidden" / "project"
    (folder / "tools").mkdir(parents=True, exist_ok=True)
    (folder / "tools" / "__init__.py").write_text("from tools.deep import shout\n")
    (folder / "tools" / "deep.py").write_text("def shout(word):\n    return word.upper()\n")
    (folder / "beside.py").write_text(
        "from rendezvous import hold, meet\n"
        "from tools import shout\n"
        "def twice(port, word):\n"
        "    meet(port)\n"
        "    return shout(word) * 2\n"
    )
    told = drive(
        folder, ray_nodes, """
        import functools, json
        import beside
        import elastic
        from elastic.interceptors import Counters

        counters, twice = Counters(), functools.partial(beside.twice, beside.hold())
        flow = elastic.from_iterable(["a"] * 400, chunk_size=1).map(twice).aggregate("count")
        value = flow.run(interceptor=counters, max_chunks_per_call=2).value
        print(json.dumps({"value": value, "nodes": counters.entries}))
        """,
    )  # fmt: skip
    assert told["value"] == {"AA": 400}
    assert len(told["nodes"]) == 2


def test_a_file_that_only_the_master_sees_travels_by_value(ray_nodes: RayCluster) -> None:
    if not ray_nodes.hidden_from:
        pytest.skip("this process may not hide a folder from a node (no mount namespaces)")
    text = ray_nodes.folder / "hidden" / "text.txt"
    expected = words_in(text)
    source = """
        import json, sys
        import elastic, rendezvous
        from elastic.interceptors import Counters

        def run(ship):
            port, counters = rendezvous.hold(), Counters()

            def split(line):
                rendezvous.meet(port)
                return line.split()

            flow = elastic.read_text(sys.argv[1], chunk_bytes=500, ship=ship).flat_map(split).aggregate("count")
            try:
                result = flow.run(interceptor=counters, max_chunks_per_call=4)
                return {"value": result.value, "nodes": counters.entries}
            except elastic.ElasticError as error:
                return {"error": str(error)}

        print(json.dumps({ship: run(ship) for ship in ("auto", "value", "reference")}))
        """
    told = drive(text.parent, ray_nodes, source, str(text))
    for ship in ("auto", "value"):
        assert told[ship]["value"] == expected
        assert len(told[ship]["nodes"]) == 2, "the blind node did its part"
    assert str(text) in told["reference"]["error"]


def test_no_chunk_runs_on_the_master_with_workers_only(ray_nodes: RayCluster, tmp_path: Path) -> None:
    told = drive(
        tmp_path, ray_nodes, """
        import json, os
        import elastic
        from elastic.interceptors import Counters

        counters = Counters()
        result = elastic.from_range(1000, chunk_size=10).aggregate("sum").run(
            placement="workers_only", interceptor=counters)
        sent = [node for what, node in counters.chunks if what == "distributed"]
        print(json.dumps({"value": result.value, "nodes": list(counters.entries), "master": sent}))
        """,
    )  # fmt: skip
    assert told["value"] == sum(range(1000))
    assert len(told["nodes"]) == 1
    assert told["nodes"] != told["master"]


def test_a_flow_starts_inside_a_ray_task_that_holds_a_cpu_itself(ray_nodes: RayCluster, tmp_path: Path) -> None:
    told = drive(
        tmp_path, ray_nodes, """
        import json, os
        import ray
        import elastic

        ray.init(address=os.environ["RAY_ADDRESS"], logging_level="ERROR")

        @ray.remote(num_cpus=1)
        def outer(home):
            result = elastic.from_range(1000, chunk_size=10).aggregate("sum").run(cluster="auto", home=home)
            return result.value, result.entries

        value, entries = ray.get(outer.remote(os.environ["ELASTIC_HOME"]))
        print(json.dumps({"value": value, "entries": entries}))
        """,
    )  # fmt: skip
    assert told == {"value": sum(range(1000)), "entries": 1000}


def test_a_run_without_a_free_cpu_is_suspended_and_says_what_there_is(ray_nodes: RayCluster, tmp_path: Path) -> None:
    told = drive(
        tmp_path, ray_nodes, """
        import json, os
        import ray
        import elastic

        ray.init(address=os.environ["RAY_ADDRESS"], logging_level="ERROR")

        @ray.remote(num_cpus=1)
        class Holder:
            def ping(self): pass

        holders = [Holder.remote(), Holder.remote()]
        ray.get([holder.ping.remote() for holder in holders])
        try:
            elastic.from_range(10).aggregate("sum").run(start_timeout=2)
        except elastic.ElasticError as error:
            kinds = [type(error).__name__, type(error.__cause__).__name__]
            print(json.dumps({"kinds": kinds, "text": str(error)}))
        """,
    )  # fmt: skip
    assert told["kinds"] == ["StepSuspendedError", "NoWorkerError"]
    assert "2 node(s) with 2 CPU(s), 0 of them free" in told["text"]


def test_a_worker_that_dies_is_replaced_and_its_chunks_are_done_again(ray_nodes: RayCluster, tmp_path: Path) -> None:
    told = drive(
        tmp_path, ray_nodes, """
        import json, os, signal, sys
        import elastic

        flag = sys.argv[1]

        def fragile(number):
            if number == 500 and not os.path.exists(flag):
                open(flag, "w").close()
                os.kill(os.getpid(), signal.SIGKILL)
            return number

        result = elastic.from_range(1000, chunk_size=10).map(fragile).aggregate("sum").run()
        print(json.dumps({"value": result.value, "state": result.state, "retries": result.retries,
                          "lost": result.counters.get("workers_lost")}))
        """, str(tmp_path / "flag"),
    )  # fmt: skip
    assert told["value"] == sum(range(1000))
    assert told["state"] == "complete_with_retries"
    assert told["retries"] > 0
    assert told["lost"] == 1
