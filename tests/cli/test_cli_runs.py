"""`elastic runs` and `elastic receipts`: the stored facts, and one sentence for each missing one."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from cli_samples import elastic, nothing_begun, refused

from elastic import ElasticError, Interceptor, Receipt, StepQueue, decode_token, from_iterable, from_range
from elastic.persistence.run_store.sqlite_store import SqliteRunStore
from elastic.recovery.redrive import result_of
from elastic.run_history import RunHistory


@pytest.fixture
def run_id() -> str:
    """A run of ten entries in four chunks."""
    return from_range(10, chunk_size=3).aggregate("sum").run(cluster="inline", name="numbers").run_id


def told(*arguments: str) -> Any:
    said = elastic(*arguments, "-o", "json")
    assert (said.code, said.err) == (0, "")
    return json.loads(said.out)


def test_without_runs_the_list_says_where_it_looked_and_what_to_try() -> None:
    said = elastic("runs", "list")
    assert (said.code, said.err) == (0, "")
    assert said.out == f"no runs in {RunHistory.of_environment().folder}; try: elastic example word-count\n"
    assert told("runs", "list") == []
    nothing_begun()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["runs", "show"], "no run 'last' in"),
        (["runs", "show", "2026"], "no run '2026' in"),
        (["runs", "show", ""], "the name of a run is missing"),
        (["receipts", "last"], "no run 'last' in"),
        (["receipts", "../../etc"], "no run '../../etc' in"),
    ],
    ids=str,
)
def test_without_runs_none_can_be_shown(arguments: list[str], text: str) -> None:
    refused(elastic(*arguments), 2, text)
    nothing_begun()


def test_runs_are_listed_the_newest_first(run_id: str) -> None:
    with pytest.raises(ElasticError):
        from_iterable([0]).map(lambda n: 1 / n).run(cluster="inline", name="[bad]")
    rows = told("runs", "list")
    assert {row["name"]: row["state"] for row in rows} == {"numbers": "complete", "[bad]": "error"}
    assert [row["run_id"] for row in rows] == RunHistory.of_environment().runs()
    whole = next(row for row in rows if row["run_id"] == run_id)
    assert (whole["step"], whole["chunks"], whole["entries"], whole["error"]) == (0, 4, 10, None)
    assert whole["seconds"] >= 0
    assert len(told("runs", "list", "--limit", "1")) == 1
    table = elastic("runs", "list").out
    assert run_id in table
    assert "[bad]" in table


def test_a_queue_is_listed_step_by_step() -> None:
    with StepQueue() as queue:
        for count in (3, 5):
            queue.add(from_range(count).aggregate("sum").options(cluster="inline"))
    assert [(row["run_id"], row["step"], row["entries"]) for row in told("runs", "list")] == [
        (queue.run_id, 0, 3),
        (queue.run_id, 1, 5),
    ]


@pytest.mark.parametrize("length", [None, 25, "last"])
def test_a_run_is_shown_by_its_id_its_beginning_or_as_the_last(length: Any, run_id: str) -> None:
    name = "last" if length == "last" else run_id[:length]
    found = told("runs", "show", name)
    assert (found["run_id"], found["folder"]) == (run_id, str(RunHistory.of_environment().run_folder(run_id)))
    (step,) = found["steps"]
    assert (step["state"], step["name"], step["cluster"], step["aggregator"]) == (
        "complete", "numbers", "inline", "Sum",
    )  # fmt: skip
    assert (step["source"]["kind"], step["transforms"], step["counters"]["aggregated"]) == ("range", [], 4)
    text = elastic("runs", "show", name).out
    assert run_id in text
    assert "complete" in text


def test_the_text_names_the_folder_of_a_run_once_and_the_folder_in_which_it_was_started(tmp_path: Path) -> None:
    (tmp_path / "flows.py").write_text('import elastic\nflow = elastic.from_range(3).aggregate("sum")\n')
    target = f"{tmp_path / 'flows.py'}:flow"
    assert elastic("flow", "run", target, "--cluster", "inline").code == 0
    history = RunHistory.of_environment()
    facts = [
        (name, value.strip())
        for name, _, value in (line.partition(" ") for line in elastic("runs", "show").out.splitlines())
    ]
    assert [value for name, value in facts if name == "folder"] == [str(history.run_folder(history.find("last")))]
    assert [value for name, value in facts if name == "started_in"] == [str(Path.cwd())]
    assert told("runs", "show")["steps"][0]["folder"] == str(Path.cwd()), "programs read the stored name"


def test_a_beginning_that_several_runs_have_is_refused_with_their_ids(run_id: str) -> None:
    other = from_range(3).run(cluster="inline").run_id
    said = elastic("runs", "show", run_id[:2])
    refused(said, 2, f"{run_id[:2]!r} matches the runs ")
    assert run_id in said.err
    assert other in said.err


def test_a_run_that_cannot_be_read_hides_no_other(run_id: str) -> None:
    broken = from_range(3).run(cluster="inline").run_id
    (RunHistory.of_environment().run_folder(broken) / "run.sqlite").write_bytes(b"no database at all" * 100)
    states = {row["run_id"]: row["state"] for row in told("runs", "list")}
    assert states == {run_id: "complete", broken: "unreadable"}
    assert elastic("runs", "list").code == 0
    said = elastic("runs", "show", broken)
    assert said.code == 1
    assert said.err.startswith("error: ")
    assert "Traceback" not in said.err


def test_receipts_are_counted_by_stage_and_node(run_id: str) -> None:
    account = told("receipts", run_id)
    assert set(account["receipts"].values()) == {4}
    assert account["nodes"] == {"inline": {"chunks": 4, "entries": 10}}
    assert account["missing"] == []
    text = elastic("receipts", "last").out
    assert "missing: none" in text
    assert "aggregated" in text


def test_chunks_that_are_missing_are_named() -> None:
    flow = from_iterable(iter(range(40)), chunk_size=2).map(lambda n: 1 / (n - 30))
    with pytest.raises(ElasticError):
        flow.run(cluster="inline", max_chunks_in_flight=4, max_chunks_per_call=1)
    account = told("receipts", "last")
    ((first, stop),) = account["missing"]
    assert first <= 15 < stop
    text = elastic("receipts", "last").out
    assert f"missing: {stop - first} chunks were sent and not aggregated: " in text
    assert "as the master recorded it at " in text
    assert [(where["node"], where["entries"]) for where in account["whereabouts"]] == [
        ("inline", 2 * (where["stop"] - where["first"])) for where in account["whereabouts"]
    ]
    where = told("receipts", "last", "--chunk", "15")
    assert (where["chunk"], where["node"], where["entries"], where["attempt"]) == (15, "inline", 2, 1)
    said = elastic("receipts", "last", "--chunk", "15").out
    assert "chunk 15 is not aggregated: 2 entries, last sent at attempt 1, node inline" in said


def test_all_chunks_are_listed_with_the_node_at_each_station(run_id: str) -> None:
    rows = told("receipts", run_id, "--all")
    assert [(row["chunk"], row["entries"]) for row in rows] == [(0, 3), (1, 3), (2, 3), (3, 1)]
    assert {row["aggregated"] for row in rows} == {"inline"}
    assert elastic("receipts", run_id, "--all").out.splitlines()[0].split() == [
        "chunk", "entries", "attempt", "distributed", "sent", "received", "processed", "returned", "aggregated",
    ]  # fmt: skip


def test_the_list_of_all_chunks_names_missing_ones_and_how_far_they_came() -> None:
    flow = from_iterable(iter(range(40)), chunk_size=2).map(lambda n: 1 / (n - 30))
    with pytest.raises(ElasticError):
        flow.run(cluster="inline", max_chunks_in_flight=4, max_chunks_per_call=1)
    rows = {row["chunk"]: row for row in told("receipts", "last", "--all")}
    assert (rows[15]["sent"], rows[15]["aggregated"], rows[15]["entries"]) == ("inline", None, 2)
    assert rows[0]["aggregated"] == "inline"


def test_of_a_master_that_was_killed_the_chunks_in_flight_are_known_by_node() -> None:
    class Killer(Interceptor):
        def aggregated(self, receipt: Receipt, task_count: int) -> None:
            if task_count >= 5:
                os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        quick = {"max_chunks_per_call": 2, "commit_interval": 1e-9, "collect_interval": 1e-9}
        from_range(300, chunk_size=10).aggregate("sum").run(cluster="inline", interceptor=Killer, **quick)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    account = told("receipts", "last")
    assert account["missing"]
    assert "inline" in {where["node"] for where in account["whereabouts"]}
    assert account["noted_at"] is not None
    first = account["missing"][0][0]
    assert f"chunk {first} is not aggregated" in elastic("receipts", "last", "--chunk", str(first)).out


def test_a_note_that_the_run_did_not_write_is_not_believed() -> None:
    with pytest.raises(ElasticError):
        from_iterable(iter(range(40)), chunk_size=2).map(lambda n: 1 / (n - 30)).run(
            cluster="inline", max_chunks_in_flight=4
        )
    [path] = RunHistory.of_environment().run_folder(told("receipts", "last")["run_id"]).glob("flight-*")
    path.write_bytes(path.read_bytes().replace(b'"inline"', b'"node-7"'))
    account = told("receipts", "last")
    assert {where["node"] for where in account["whereabouts"]} == {None}
    first = account["missing"][0][0]
    assert "before it noted to which node" in elastic("receipts", "last", "--chunk", str(first)).out


def test_a_token_is_decoded_in_python_as_by_the_command(run_id: str) -> None:
    row = told("receipts", run_id, "--chunk", "3")[-1]
    said, facts = decode_token(row["receipt"]), told("receipts", "decode", row["receipt"])
    assert (said.stage, said.entries, said.chunk_id) == (facts["stage"], facts["entries"], facts["chunk_id"])
    with pytest.raises(ElasticError, match="was not made by run"):
        decode_token(forged(row["receipt"]))
    with pytest.raises(ElasticError, match="is not a receipt"):
        decode_token(None)  # type: ignore[arg-type]


def test_the_six_receipts_of_a_chunk_are_shown_and_each_decodes(run_id: str) -> None:
    rows = told("receipts", run_id, "--chunk", "3")
    assert [row["stage"] for row in rows] == ["distributed", "sent", "received", "processed", "returned", "aggregated"]
    assert [row["entries"] for row in rows] == [None, None, None, 1, 1, 1]
    for row in rows:
        facts = told("receipts", "decode", row["receipt"])
        assert (facts["run_id"], facts["stage"], facts["chunk_id"], facts["entries"]) == (
            run_id, row["stage"], 3, row["entries"],
        )  # fmt: skip
        assert facts["time"].endswith("+00:00")
        assert row["receipt"] in elastic("receipts", run_id, "--chunk", "3").out
    assert run_id in elastic("receipts", "decode", rows[0]["receipt"].upper()).out


def forged(token: str) -> str:
    at = len(token) // 2
    return token[:at] + ("a" if token[at] != "a" else "b") + token[at + 1 :]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (forged, "was not made by run "),
        (lambda token: "aaaa" + token[4:], "no run in"),
        (lambda token: token[:-3], "is not a receipt"),
        (lambda token: "garbage", "'garbage' is not a receipt"),
        (lambda token: "", "'' is not a receipt"),
        (lambda token: "\u00e9" * 50, "is not a receipt"),
        (lambda token: "a" * 500, "no run in"),
    ],
    ids=["forged", "of no run", "cut short", "garbage", "empty", "not ASCII", "long"],
)
def test_a_receipt_that_was_not_made_here_is_refused(make: Any, text: str, run_id: str) -> None:
    token = told("receipts", run_id, "--chunk", "0")[0]["receipt"]
    refused(elastic("receipts", "decode", make(token)), 1, text)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["decode"], "give the receipt to decode: elastic receipts decode TOKEN"),
        (["last", "more"], "what is 'more' for?"),
        (["last", "--step", "3"], "has no step 3; it has 1, counted from 0"),
        (["last", "--chunk", "4"], "has no chunk 4: at its last commit it had sent 4 chunks, counted from 0"),
        (["zzz"], "no run 'zzz' in"),
    ],
    ids=str,
)
def test_missing_facts_of_a_run_are_named(arguments: list[str], text: str, run_id: str) -> None:
    refused(elastic("receipts", *arguments), 2, text)


def test_receipts_that_were_changed_on_disk_are_refused_with_the_chunk(run_id: str) -> None:
    key = RunHistory.of_environment().run_folder(run_id) / "key"
    key.chmod(0o600)
    key.write_bytes(bytes(len(key.read_bytes())))
    said = elastic("receipts", run_id, "--chunk", "0")
    assert said.code == 1
    assert len(said.err.splitlines()) == 1


def test_a_clock_that_was_set_back_gives_no_negative_seconds(run_id: str) -> None:
    store = SqliteRunStore.open(RunHistory.of_environment().run_folder(run_id))
    [record] = store.steps()
    store.end(0, "complete", record.started_at - 3600)
    store.close()
    assert told("runs", "list")[0]["seconds"] == 0
    assert result_of(run_id, from_range(10).aggregate("sum")).seconds == 0
