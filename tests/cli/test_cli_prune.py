"""`elastic runs prune` and `delete`: what goes is said before, and nothing else goes."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from cli_samples import Said, elastic, refused
from typer.testing import CliRunner

from elastic import ElasticError, delete_runs, from_iterable, from_range, runs
from elastic.cli import main


def complete(name: str = "numbers") -> str:
    return from_range(10, chunk_size=3).aggregate("sum").run(cluster="inline", name=name).run_id


def failed() -> str:
    with pytest.raises(ElasticError):
        from_iterable([0]).map(lambda n: 1 / n).run(cluster="inline", name="bad")
    return runs(limit=1)[0].run_id


def answered(answer: str, *arguments: str) -> Said:
    result = CliRunner().invoke(main.app, list(arguments), input=answer, prog_name="elastic", catch_exceptions=False)
    return Said(result.exit_code, result.stdout, result.stderr)


def read(*arguments: str) -> Any:
    said = elastic(*arguments, "-o", "json")
    assert (said.code, said.err) == (0, "")
    return json.loads(said.out)


def test_the_list_has_the_bytes_of_each_run_and_their_total() -> None:
    sizes = {complete(): 0, failed(): 0}
    rows = read("runs", "list")
    assert {row["run_id"]: row["bytes"] for row in rows} == {run.run_id: run.bytes for run in runs()}
    assert sizes.keys() == {row["run_id"] for row in rows}
    out = elastic("runs", "list", "--limit", "1").out
    assert out.splitlines()[0].split()[-1] == "bytes"
    assert out.splitlines()[-1].startswith("2 runs in ")
    assert out.splitlines()[-1].endswith(f": {sum(run.bytes for run in runs()):,} bytes")


def test_a_dry_run_says_what_would_go_and_asks_nothing() -> None:
    old, new = sorted((complete("old"), complete("new")))
    said = elastic("runs", "prune", "--keep-last", "1", "--dry-run")
    assert said.code == 0
    assert old in said.out
    assert new not in said.out
    size = next(run.bytes for run in runs() if run.run_id == old)
    assert said.out.splitlines()[-1] == f"would delete 1 run, {size:,} bytes"
    assert len(runs()) == 2


def test_a_prune_asks_first_and_deletes_on_yes() -> None:
    old, new = sorted((complete(), complete()))
    said = answered("n\n", "runs", "prune", "--keep-last", "1")
    assert said.code == 1
    assert "Delete 1 run, " in said.out
    assert len(runs()) == 2
    assert answered("y\n", "runs", "prune", "--keep-last", "1").code == 0
    assert [run.run_id for run in runs()] == [new]
    assert elastic("runs", "prune", "--keep-last", "0", "--yes").out.splitlines()[-1].startswith("deleted 1 run, ")
    assert runs() == []
    assert old != new


def test_what_stays_is_said_with_the_reason() -> None:
    bad = failed()
    said = elastic("runs", "prune", "--keep-last", "0")
    assert said.code == 0
    assert "it ended in error and can be resumed" in said.out
    assert said.out.splitlines()[-1] == "deleted 0 runs, 0 bytes; 1 run stayed"
    found = read("runs", "prune", "--keep", "0d", "--dry-run")
    assert [(row["run_id"], row["stays"]) for row in found["runs"]] == [(bad, "it ended in error and can be resumed")]
    assert (found["dry_run"], found["bytes"], found["leftover_bytes"]) == (True, 0, 0)
    assert len(runs()) == 1


def test_a_prune_without_runs_says_so(home: Path) -> None:
    assert elastic("runs", "prune", "--keep", "30d").out == "deleted 0 runs, 0 bytes\n"
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "nothing says which runs to keep"),
        (["--keep", "30"], "keep='30' must be a duration, such as"),
        (["--keep", "-3d"], "keep='-3d' must be a duration"),
        (["--keep", "nan"], "keep='nan' must be a duration"),
    ],
)
def test_an_order_that_cannot_be_followed_is_refused(arguments: list[str], text: str) -> None:
    complete()
    refused(elastic("runs", "prune", *arguments), 2, text)
    assert elastic("runs", "prune", "--keep-last", "-1").code == 2
    assert len(runs()) == 1


def test_runs_are_deleted_by_name_after_a_question() -> None:
    first, second = sorted((complete(), complete()))
    assert answered("n\n", "runs", "delete", first).code == 1
    assert len(runs()) == 2
    said = answered("y\n", "runs", "delete", first, first[:-2], "last")
    assert said.code == 0
    assert f"Delete {first}, {second}?" in said.out
    assert f"deleted run {first} 'numbers': complete, 10 entries, " in said.out
    assert runs() == []


def test_a_run_that_can_be_resumed_is_deleted_only_by_force() -> None:
    bad = failed()
    reason = f"run {bad} was not deleted, because it ended in error and can be resumed"
    refused(elastic("runs", "delete", bad, "-y"), 2, reason)
    assert [row["run_id"] for row in read("runs", "delete", bad, "--force", "-y")] == [bad]
    assert runs() == []


def test_a_run_that_is_not_there_is_refused_and_no_other_goes() -> None:
    run_id = complete()
    refused(elastic("runs", "delete", run_id, "2099", "-y"), 2, "no run '2099' in")
    refused(elastic("runs", "delete", "", "-y"), 2, "the name of a run is missing")
    complete()
    refused(elastic("runs", "delete", "2", "-y"), 2, "matches the runs")
    assert elastic("runs", "delete", "-y").code == 2
    assert len(runs()) == 2


def test_a_question_without_an_answer_deletes_nothing() -> None:
    run_id = complete()
    assert answered("", "runs", "delete", run_id).code == 1
    assert answered("", "runs", "prune", "--keep-last", "0").code == 1
    assert [run.run_id for run in runs()] == [run_id]


def test_a_deleted_run_is_unknown_to_every_command() -> None:
    run_id = complete()
    delete_runs(run_id)
    for command in (["runs", "show"], ["runs", "value"], ["receipts"], ["verify"], ["resume"]):
        assert f"no run '{run_id}' in" in elastic(*command, run_id).err
    assert os.environ["ELASTIC_HOME"] in elastic("runs", "list").out
