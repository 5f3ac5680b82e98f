"""`elastic db`, `connections`, `variables`, `pools`, `config`: their output and their refusals."""

import json
import stat
from pathlib import Path

import pytest
import yaml
from cli_samples import elastic, refused
from cryptography.fernet import Fernet
from sqlalchemy import text

from elastic.config.settings import read_settings
from elastic.db.database import Database
from elastic.db.migration.revisions import REVISIONS
from elastic.db.open_database import open_database
from elastic.testing import MariaDbServer, PostgresServer

LEAVES = [
    ["initdb"],
    *(["db", name] for name in ("migrate", "check", "reset", "clean", "downgrade", "shell", "make-key", "rotate-key")),
    *(["connections", name] for name in ("list", "get", "add", "delete", "test", "export", "import")),
    *(["variables", name] for name in ("list", "get", "set", "delete", "export", "import")),
    *(["pools", name] for name in ("list", "set", "delete")),
    *(["config", name] for name in ("list", "get-value", "lint")),
]


@pytest.fixture
def key(home: Path) -> str:
    """A Fernet key in its file."""
    assert elastic("db", "make-key").code == 0
    return (home / "fernet.key").read_text().strip()


@pytest.mark.parametrize("command", LEAVES, ids=" ".join)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    said = elastic(*command, "--help")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"Usage: elastic {' '.join(command)}")
    assert f"or example: elastic {' '.join(command)}" in " ".join(said.out.split())


class TestDatabase:
    """`elastic db`."""

    def test_it_is_made_checked_and_emptied(self, home: Path) -> None:
        refused(elastic("db", "check"), 1, "has no tables yet")
        assert f"now has version {REVISIONS[-1]} (before: empty)" in elastic("db", "migrate").out
        assert f"already has version {REVISIONS[-1]}" in elastic("db", "migrate").out
        assert elastic("db", "check").out == f"sqlite:///{home}/elastic.db answers and has version {REVISIONS[-1]}\n"
        assert elastic("pools", "set", "narrow", "1").code == 0
        assert elastic("db", "reset", "-y").code == 0
        assert "narrow" not in elastic("pools", "list").out
        assert elastic("db", "downgrade", "-r", "base", "-y").code == 0
        assert elastic("initdb", "-y").code == elastic("db", "check").code == 0
        assert elastic("db", "downgrade", "-r", "base", "-y").code == 0
        refused(elastic("db", "check"), 1, "has no tables yet")

    @pytest.mark.parametrize(
        "command",
        [["initdb"], ["db", "reset"], ["db", "downgrade", "-r", "base"], ["pools", "delete", "narrow"]],
        ids=" ".join,
    )
    def test_nothing_is_destroyed_without_an_answer(self, command: list[str]) -> None:
        elastic("pools", "set", "narrow", "1")
        said = elastic(*command)
        assert said.code == 1
        assert "[y/N]" in said.out + said.err
        assert "narrow" in elastic("pools", "list").out

    def test_a_database_from_a_newer_version_is_refused(self) -> None:
        elastic("db", "migrate")
        with open_database().begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        refused(elastic("db", "check"), 1, "newer version 9999")
        refused(elastic("db", "migrate"), 1, "newer version 9999")

    def test_cleaning_says_first_what_it_would_remove(self) -> None:
        said = elastic("db", "clean", "--before", "2026-01-01", "--dry-run")
        assert said.out.splitlines()[-2].split() == ["dag_run", "0"]
        refused(elastic("db", "clean", "--before", "tomorrow"), 2, "'tomorrow' is not a date; write YYYY-MM-DD")

    def test_a_password_in_its_url_is_never_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ELASTIC__DATABASE__URL", "postgresql://me:hunter2@127.0.0.1:1/db")
        for command in (
            ["db", "check"],
            ["pools", "list"],
            ["config", "list"],
            ["config", "get-value", "database.url"],
        ):
            said = elastic(*command)
            assert "hunter2" not in said.out + said.err
            assert "me:***@127.0.0.1" in said.out + said.err
        assert "hunter2" in elastic("config", "get-value", "database.url", "--show-secrets").out

    @pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
    def test_a_server_is_migrated_and_used(
        self, kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server: PostgresServer | MariaDbServer = request.getfixturevalue(
            "postgres_server" if kind == "postgresql" else "mariadb_server"
        )
        monkeypatch.setenv("ELASTIC__DATABASE__URL", server.create_database())
        refused(elastic("pools", "list"), 1, "run `elastic db migrate`")
        said = elastic("db", "migrate")
        assert said.code == 0, said
        assert server.password not in said.out
        assert elastic("pools", "set", "narrow", "3").code == 0
        listed = json.loads(elastic("pools", "list", "-o", "json").out)
        assert [row["pool"] for row in listed] == ["default", "narrow"]
        open_database().close()


class TestConnections:
    """`elastic connections`."""

    URL = "postgresql://me:hunter2@db.example.org:5433/events?sslmode=require"

    def test_one_is_kept_shown_and_forgotten(self, key: str) -> None:
        said = elastic("connections", "add", "warehouse", "--url", self.URL)
        assert (said.code, "hunter2" in said.out) == (0, False)
        listed = elastic("connections", "list", "-o", "json")
        assert json.loads(listed.out) == [
            {
                "conn_id": "warehouse",
                "kind": "postgresql",
                "host": "db.example.org",
                "port": 5433,
                "login": "me",
                "schema": "events",
                "source": "database",
            }
        ]
        assert " 5433 " in elastic("connections", "list").out
        masked = elastic("connections", "get", "warehouse").out
        assert masked == "postgresql://me:***@db.example.org:5433/events?sslmode=require\n"
        assert elastic("connections", "get", "warehouse", "--show-secrets").out.strip() == self.URL
        refused(elastic("connections", "add", "warehouse", "--kind", "mysql"), 2, "exists already")
        assert elastic("connections", "delete", "warehouse", "-y").code == 0
        assert elastic("connections", "list").out == "no connections\n"
        refused(elastic("connections", "get", "warehouse"), 2, "connection 'warehouse' isn't defined")
        refused(elastic("connections", "delete", "warehouse", "-y"), 2, "connection 'warehouse' isn't defined")

    def test_those_of_the_environment_go_first(self, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
        elastic("connections", "add", "warehouse", "--url", self.URL)
        monkeypatch.setenv("ELASTIC_CONN_WAREHOUSE", "sqlite:////data/words.db")
        assert elastic("connections", "get", "warehouse").out == "sqlite:////data/words.db\n"
        sources = [row["source"] for row in json.loads(elastic("connections", "list", "-o", "json").out)]
        assert sorted(sources) == ["database", "environment"]

    def test_one_is_kept_by_its_fields_with_the_password_asked_for(self, key: str) -> None:
        from typer.testing import CliRunner

        from elastic.cli.main import app

        fields = ["--kind", "mysql", "--host", "h", "--login", "me", "--schema", "s", "--extra", '{"a": "b"}']
        done = CliRunner().invoke(app, ["connections", "add", "db", *fields, "--ask-password"], input="hunter2\n")
        assert done.exit_code == 0
        assert "hunter2" not in done.output
        assert elastic("connections", "get", "db", "--show-secrets").out == "mysql://me:hunter2@h/s?a=b\n"
        done = CliRunner().invoke(app, ["connections", "add", "db", "--url", "-", "--overwrite"], input=self.URL + "\n")
        assert done.exit_code == 0
        assert elastic("connections", "get", "db", "--show-secrets").out.strip() == self.URL

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ([], "needs either --url or --kind"),
            (["--url", "sqlite:///x", "--kind", "sqlite"], "give one of them"),
            (["--url", "me:hunter2@host"], "cannot be read"),
            (["--kind", "mysql", "--extra", "[1]"], "--extra must be a JSON object"),
            (["--kind", "mysql", "--extra", "{"], "--extra must be a JSON object"),
        ],
    )
    def test_a_value_that_is_no_connection_is_refused(self, key: str, arguments: list[str], words: str) -> None:
        said = elastic("connections", "add", "x", *arguments)
        refused(said, 2, words)
        assert "hunter2" not in said.err
        assert elastic("connections", "list").out == "no connections\n"

    def test_without_a_key_nothing_is_kept(self, home: Path) -> None:
        refused(elastic("connections", "add", "x", "--url", self.URL), 1, "no Fernet key")
        assert elastic("connections", "list").out == "no connections\n"

    def test_a_wrong_key_is_reported(self, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
        elastic("connections", "add", "x", "--url", self.URL)
        monkeypatch.setenv("ELASTIC__SECRETS__FERNET_KEY", Fernet.generate_key().decode())
        refused(elastic("connections", "get", "x"), 1, "encrypted with another Fernet key")
        monkeypatch.setenv("ELASTIC__SECRETS__FERNET_KEY", "nonsense")
        refused(elastic("connections", "get", "x"), 2, "Fernet key 1 is invalid")
        refused(elastic("db", "make-key"), 2, "ELASTIC__SECRETS__FERNET_KEY")

    def test_they_answer_or_do_not(self, key: str, tmp_path: Path) -> None:
        elastic("connections", "add", "file", "--url", f"sqlite:///{tmp_path}/words.db")
        elastic("connections", "add", "away", "--url", "postgresql://me:hunter2@127.0.0.1:1/db")
        assert elastic("connections", "test", "file").code == 0
        said = elastic("connections", "test", "away")
        assert said.code == 1
        assert "hunter2" not in said.err

    @pytest.mark.parametrize("name", ["all.json", "all.yaml"])
    def test_they_go_into_a_file_and_come_back(self, key: str, tmp_path: Path, name: str) -> None:
        elastic("connections", "add", "a", "--url", self.URL)
        elastic("connections", "add", "b", "--url", "sqlite:////data/words.db")
        path = tmp_path / name
        assert elastic("connections", "export", str(path)).code == 0
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        refused(elastic("connections", "import", str(path)), 2, "exists already")
        elastic("connections", "delete", "a", "-y")
        assert elastic("connections", "import", str(path), "--overwrite").out == "2 connections are stored\n"
        assert elastic("connections", "get", "a", "--show-secrets").out.strip() == self.URL

    @pytest.mark.parametrize(
        ("name", "content", "words"),
        [
            ("x.json", "{", "line 1: invalid JSON"),
            ("x.json", "[]", "must hold a mapping"),
            ("x.json", '{"a": {"kind": "mysql", "psw": "hunter2"}}', "connection 'a' has the unknown field 'psw'"),
            ("x.json", '{"a": ["mysql"]}', "connection 'a' must be a URL, or a mapping of fields"),
            ("x.yaml", "a: [", "invalid YAML"),
            ("x.yaml", "a: &b [x]\nc: *b\n", "has aliases"),
            ("x.yaml", "a: !!python/object/apply:os.system ['true']\n", "invalid YAML"),
            ("x.yaml", "[" * 5000, "more than 32 levels deep"),
            ("x.json", "[" * 100_000, "invalid JSON"),
        ],
    )
    def test_a_file_that_holds_no_connections_is_refused(
        self, key: str, tmp_path: Path, name: str, content: str, words: str
    ) -> None:
        (tmp_path / name).write_text(content)
        said = elastic("connections", "import", str(tmp_path / name))
        refused(said, 2, words)
        assert "hunter2" not in said.err

    def test_a_file_that_is_not_there_is_named(self, key: str, tmp_path: Path) -> None:
        refused(elastic("connections", "import", str(tmp_path / "nope.json")), 2, "nope.json cannot be read")


class TestVariables:
    """`elastic variables`."""

    def test_they_are_set_got_listed_and_forgotten(self, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
        assert elastic("variables", "set", "bucket", "data", "--description", "where").code == 0
        assert elastic("variables", "get", "bucket").out == "data\n"
        assert elastic("variables", "get", "nope", "--default", "x").out == "x\n"
        refused(elastic("variables", "get", "nope"), 2, "variable 'nope' isn't defined")
        assert elastic("variables", "list", "-o", "plain").out == "bucket\twhere\n"
        monkeypatch.setenv("ELASTIC_VAR_BUCKET", "other")
        assert elastic("variables", "get", "bucket").out == "other\n"
        assert elastic("variables", "delete", "bucket", "-y").code == 0
        assert elastic("variables", "list").out == "no variables\n"

    def test_a_program_gets_a_value_as_it_is(self, key: str) -> None:
        elastic("variables", "set", "prompt", "a\x1b[31mb\tc")
        assert elastic("variables", "get", "prompt").out == "a\x1b[31mb\tc\n"

    def test_they_go_into_a_file_and_come_back(self, key: str, tmp_path: Path) -> None:
        elastic("variables", "set", "a", "1")
        path = tmp_path / "all.json"
        elastic("variables", "export", str(path))
        path.write_text(json.dumps({**json.loads(path.read_text()), "b": {"x": [1]}}))
        assert elastic("variables", "import", str(path)).out == "2 variables are stored\n"
        assert elastic("variables", "get", "b").out == '{"x": [1]}\n'

    def test_without_a_key_nothing_is_kept(self) -> None:
        refused(elastic("variables", "set", "a", "1"), 1, "no Fernet key for the value of variable 'a'")

    def test_a_new_key_takes_over(self, key: str, home: Path) -> None:
        elastic("variables", "set", "a", "1")
        assert "rotate-key" in elastic("db", "make-key").out
        assert elastic("variables", "get", "a").out == "1\n"
        assert "0 connections and 1 variables" in elastic("db", "rotate-key", "--drop-old").out
        assert key not in (home / "fernet.key").read_text()
        assert elastic("variables", "get", "a").out == "1\n"


class TestPools:
    """`elastic pools`, and the four ways to list."""

    def test_they_are_listed_in_four_ways(self) -> None:
        elastic("pools", "set", "narrow", "-1", "--description", "a\tb")
        rows = [
            {"pool": "default", "slots": 128, "queued": 0, "running": 0, "description": "of tasks that name none"},
            {"pool": "narrow", "slots": -1, "queued": 0, "running": 0, "description": "a\tb"},
        ]
        assert json.loads(elastic("pools", "list", "-o", "json").out) == rows
        assert yaml.safe_load(elastic("pools", "list", "-o", "yaml").out) == rows
        plain = elastic("pools", "list", "-o", "plain").out.splitlines()
        assert plain[1].split("\t") == ["narrow", "-1", "0", "0", "a b"]
        assert "narrow" in elastic("pools", "list").out
        assert elastic("pools", "list", "-o", "xml").code == 2

    def test_what_cannot_be_is_refused(self) -> None:
        refused(elastic("pools", "set", "a/b", "1"), 2, "invalid pool 'a/b'")
        refused(elastic("pools", "set", "narrow", "-7"), 2, "cannot have -7 slots")
        refused(elastic("pools", "delete", "default", "-y"), 2, "cannot be deleted")
        refused(elastic("pools", "delete", "nope", "-y"), 2, "pool 'nope' isn't defined")


class TestConfig:
    """`elastic config`."""

    def test_it_prints_the_settings_and_their_sources(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (home / "elastic.toml").write_text("[logs]\nin_database = false\n")
        (home / "elastic.toml").chmod(0o600)
        monkeypatch.setenv("ELASTIC__CORE__PARALLELISM", "3")
        rows = json.loads(elastic("config", "list", "--sources", "-o", "json").out)
        told = {row["name"]: (row["value"], row["source"]) for row in rows}
        assert told["core.parallelism"] == (3, "ELASTIC__CORE__PARALLELISM")
        assert told["logs.in_database"] == (False, str(home / "elastic.toml"))
        assert told["core.executor"][1] == "default"
        assert elastic("config", "get-value", "logs", "in_database").out == "false\n"
        assert elastic("config", "get-value", "core.parallelism").out == "3\n"
        refused(elastic("config", "get-value", "core.nope"), 2, "no setting 'core.nope'")

    def test_lint_tells_all_that_is_wrong(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert elastic("config", "lint").out == "all settings are valid\n"
        monkeypatch.setenv("ELASTIC__DATABASE__URL", "oracle://me:hunter2@h/d")
        monkeypatch.setenv("ELASTIC__SECRETS__FERNET_KEY", "hunter2")
        said = elastic("config", "lint")
        assert (said.code, len(said.out.splitlines())) == (1, 2)
        assert "hunter2" not in said.out
        monkeypatch.setenv("ELASTIC__CORE__NOPE", "1")
        assert "core.nope" in elastic("config", "lint").out
        refused(elastic("pools", "list"), 2, "no setting 'core.nope'")


def test_what_a_command_makes_another_process_finds(home: Path) -> None:
    elastic("pools", "set", "narrow", "5")
    other = Database(read_settings().text("database.url"))
    with other.read() as connection:
        assert connection.execute(text("SELECT slots FROM pool WHERE pool = 'narrow'")).scalar_one() == 5
    other.close()
