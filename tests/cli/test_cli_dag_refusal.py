"""Commands of DAGs and tasks with invalid input: one sentence, and exit code 1 or 2."""

from pathlib import Path

import pytest
from cli_samples import elastic, refused
from dag_folder import broken_file, dag_folder
from sqlalchemy import text

from elastic.config.settings import read_settings
from elastic.db.database import Database

DAY = "2016-02-22"
EXTRACT = ("etl", "extract", DAY)

ON_A_DAG = [
    *(["dags", name] for name in ("list-runs", "show", "details", "tree", "graph", "test", "next", "pause", "trigger")),
    *(["tasks", name, "TASK"] for name in ("test", "state", "render", "why", "log")),
    ["tasks", "list"],
    ["run", "TASK"],
    ["backfill", "-s", DAY],
    ["clear", "-y"],
    ["recover", "20160222"],
    ["run-one", "20160222", "TASK"],
    ["run-from", "20160222", "TASK"],
]
NAMES_ITS_FILE = [command for command in ON_A_DAG if command != ["dags", "list-runs"]]
WITH_TASK = [command for command in ON_A_DAG if "TASK" in command]


def called(command: list[str], dag_id: str, task_id: str = "extract", *, date: str = DAY) -> list[str]:
    """Return the arguments of a command for a DAG, a task and a date."""
    at = 2 if command[0] in ("dags", "tasks") else 1
    needs_date = "TASK" in command and command[0] in ("tasks", "run")
    rest = [task_id if word == "TASK" else word for word in command[at:]]
    return [*command[:at], dag_id, *rest, *([date] if needs_date else [])]


@pytest.fixture(autouse=True)
def folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of DAGs whose tasks run in this process."""
    monkeypatch.setenv("ELASTIC__CORE__EXECUTOR", "inline")
    return dag_folder(home)


@pytest.mark.parametrize("command", ON_A_DAG, ids=" ".join)
def test_an_unknown_dag(command: list[str]) -> None:
    refused(elastic(*called(command, "elt")), 2, "there is no DAG 'elt' in")


@pytest.mark.parametrize("command", WITH_TASK, ids=" ".join)
def test_an_unknown_task(command: list[str]) -> None:
    elastic("dags", "trigger", "etl", "-e", DAY)
    refused(elastic(*called(command, "etl", "lod")), 2, "DAG 'etl' has no task 'lod'; did you mean 'load'?")


@pytest.mark.parametrize("command", NAMES_ITS_FILE, ids=" ".join)
def test_a_broken_file(command: list[str], folder: Path) -> None:
    path = broken_file(folder)
    refused(elastic(*called(command, "broken"), "-sd", str(path)), 1, f"{path} cannot be loaded: UnknownSettingErr")


@pytest.mark.parametrize("error", ["syntax error here", "import nowhere_at_all", "raise SystemExit", "1/0"])
def test_any_way_to_be_broken(error: str, folder: Path) -> None:
    path = folder / "worse.py"
    path.write_text(f"# dag\n{error}\n")
    refused(elastic("dags", "show", "x", "-sd", str(path)), 1, f"{path} cannot be loaded: ")
    said = elastic("dags", "list")
    assert (said.code, len(said.err.splitlines())) == (0, 1)
    refused(elastic("dags", "show", "x"), 2, "1 file there cannot be loaded: run `elastic dags list` for the reasons")


@pytest.mark.parametrize("date", ["2016-02-30", "yesterday", "20160222T99", ""])
@pytest.mark.parametrize(
    "command",
    [
        *(called(command, "etl", date="DATE") for command in WITH_TASK if command[0] in ("tasks", "run")),
        ["backfill", "etl", "-s", "DATE"],
        ["backfill", "etl", "-s", DAY, "-e", "DATE"],
        ["clear", "etl", "-y", "-s", "DATE"],
        ["dags", "test", "etl", "DATE"],
        ["dags", "trigger", "etl", "-e", "DATE"],
    ],
    ids=" ".join,
)
def test_an_invalid_date(command: list[str], date: str) -> None:
    refused(elastic(*(date if word == "DATE" else word for word in command)), 2, f"invalid date {date!r}")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["backfill", "etl", "-s", DAY, "-e", "2016-02-21"], "the range ends (2016-02-21 00:00) before it starts"),
        (["clear", "etl", "-s", DAY, "-e", "2016-02-21"], "the range ends (2016-02-21 00:00) before it starts"),
        (["backfill", "etl", "-s", "2300-01-01"], "no interval of the range has passed yet"),
        (["backfill", "etl", "-s", "2010-01-01"], "has no logical date from 2010-01-01"),
        (["backfill", "etl", "-s", DAY, "-t", "nope"], "no task that matches 'nope'"),
        (["backfill", "etl", "-s", DAY, "-t", "("], "'(' is not a regular expression"),
        (["backfill", "etl", "-s", DAY, "--executor", "celery"], "unknown executor 'celery'"),
        (["clear", "etl", "-t", "nope"], "no task that matches 'nope'"),
        (["recover", "etl", "2016x"], "invalid timeperiod '2016x'"),
        (["recover", "etl", "20161301"], "invalid timeperiod '20161301'"),
        (["dags", "trigger", "etl", "--conf", "{"], "--conf must be valid JSON"),
        (["dags", "trigger", "etl", "--conf", "[1]"], "--conf must be a JSON object"),
        (["dags", "trigger", "etl", "--run-id", "a/b"], "invalid run_id 'a/b'"),
        (["run", *EXTRACT, "--map-index", "3"], "leave --map-index out"),
        (["run", *EXTRACT, "-sd", "/nowhere"], "there is no file or folder '/nowhere'"),
        (["tasks", "why", "copies", "square", DAY, "--map-index", "3"], "has no copy 3; give --map-index 0 to 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be(command: list[str], words: str) -> None:
    refused(elastic(*command), 2, words)


def test_a_connection_that_is_missing_fails_the_task_in_a_sentence(folder: Path) -> None:
    (folder / "sql.py").write_text(
        "from elastic import DAG\nfrom elastic.operators import BashOperator, SqlOperator\n"
        "with DAG('sql', start_date='2016-02-22'):\n"
        "    SqlOperator(task_id='query', sql='select 1', conn_id='nowhere')\n"
        "    BashOperator(task_id='shown', bash_command='echo {{ conn.nowhere.host }}')\n"
        "    BashOperator(task_id='told', bash_command='echo {{ var.nowhere }}')\n"
    )
    said = elastic("run", "sql", "query", DAY)
    assert said.code == 1
    (sentence,) = said.err.splitlines()
    assert "ConnectionNotDefinedError: connection 'nowhere' isn't defined" in sentence
    refused(elastic("tasks", "render", "sql", "shown", DAY), 1, "connection 'nowhere' isn't defined")
    refused(elastic("tasks", "render", "sql", "told", DAY), 1, "variable 'nowhere' isn't defined")


@pytest.mark.parametrize("command", [["dags", "list"], ["run", *EXTRACT], ["backfill", "etl", "-s", DAY]])
def test_a_database_from_a_newer_version(command: list[str]) -> None:
    elastic("db", "migrate")
    database = Database(read_settings().text("database.url"))
    with database.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    refused(elastic(*command), 1, "newer version 9999")


def test_a_database_that_is_none(home: Path) -> None:
    (home / "elastic.db").write_bytes(b"no database at all, but long enough to be looked at")
    refused(elastic("dags", "list"), 1, "is not a database of Elastic")


def test_a_folder_of_dags_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTIC__CORE__DAGS_FOLDER", "/nowhere")
    for command in (["dags", "list"], ["run", *EXTRACT]):
        refused(elastic(*command), 2, "the DAG folder '/nowhere' does not exist")
