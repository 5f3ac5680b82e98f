"""Hooks by the kind of a connection, and connections of Airflow."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from elastic.cli.main import app
from elastic.config.connection_kinds import check_extra
from elastic.core.errors import UsageError
from elastic.hooks import Connection, FileHook, SmtpHook, SqlHook, hook_of
from elastic.hooks.connection_lookup import connection
from elastic.hooks.errors import UnknownKindError
from elastic.plugins.plugin import forget
from tests.notifiers.catchers import mail_server


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as raised:
        app(list(words), prog_name="elastic")
    return int(raised.value.code or 0)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("postgresql+psycopg://h/n", SqlHook),
        ("mariadb://h/n", SqlHook),
        ("mssql://h/n", SqlHook),
        ("sqlite:////x", SqlHook),
        ("smtps://h", SmtpHook),
        ("file:///data", FileHook),
        ("s3://key:secret@/bucket", FileHook),
        ("webhdfs://ada@h:9870/in", FileHook),
    ],
)
def test_the_kind_of_a_connection_chooses_the_hook(url: str, kind: type) -> None:
    assert type(hook_of(Connection.of_url(url))) is kind


def test_a_plugin_serves_kinds_that_elastic_does_not_know(home: Path) -> None:
    forget()
    with pytest.raises(UnknownKindError, match=r"no hook for connection 'fax' of the kind 'fax'; use one of duckdb, "):
        hook_of(Connection.of_url("fax://office", "fax"))
    (home / "plugins").mkdir()
    (home / "plugins" / "fax.py").write_text(
        "from elastic.hooks import Hook, ConnectionTest\n"
        "class Fax(Hook):\n"
        "    def test_connection(self):\n"
        "        return ConnectionTest(True, 'beep')\n"
        "PLUGINS = {'elastic.hooks': {'fax': Fax}}\n"
    )
    forget()
    try:
        assert hook_of(Connection.of_url("fax://office", "fax")).test_connection().message == "beep"
    finally:
        forget()


def test_a_folder_is_tested_by_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ELASTIC_CONN_IN", f"file://{tmp_path}")
    assert run("connections", "test", "in") == 0
    assert "answers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"host": "api.example.org", "schema": "https"}, "https://api.example.org/"),
        ({"host": "https://api.example.org:8443/v1/", "schema": None}, "https://api.example.org:8443/v1"),
        ({"host": "api.example.org", "port": 8080}, "http://api.example.org:8080/"),
    ],
)
def test_the_schema_of_an_http_connection_of_airflow_is_its_protocol(
    home: Path, tmp_path: Path, fields: dict[str, Any], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "exported.json").write_text(json.dumps({"api": {"conn_type": "http", **fields}}))
    run("db", "migrate")
    assert run("connections", "import", str(tmp_path / "exported.json")) == 0
    assert "warning" not in capsys.readouterr().err
    assert connection("api").url == expected


def test_a_mail_server_is_tested_by_a_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with mail_server(auth_require_tls=False) as catcher:
        monkeypatch.setenv("ELASTIC_CONN_POST", f"smtp://me:right@127.0.0.1:{catcher.port}")
        assert run("connections", "test", "post") == 0
        assert "answers" in capsys.readouterr().out
        monkeypatch.setenv("ELASTIC_CONN_POST", f"smtp://me:wrong-password@127.0.0.1:{catcher.port}")
        assert run("connections", "test", "post") == 1
        said = capsys.readouterr().err
        assert "535" in said
        assert "wrong-password" not in said
        assert catcher.mails == []
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert not hook_of(Connection.of_url(f"smtp://127.0.0.1:{port}")).test_connection()


def test_an_unknown_extra_setting_is_refused_with_the_similar_one() -> None:
    check_extra("dw", "postgresql", ["sslmode"])
    check_extra("post", "smtp", ["starttls"])
    said = "connection 'post' of the kind 'smtp' has no extra setting 'startls'; did you mean 'starttls'"
    with pytest.raises(UsageError, match=said):
        check_extra("post", "smtp", ["startls"])


AIRFLOW: dict[str, Any] = {
    "warehouse": {
        "conn_type": "postgres",
        "description": "main",
        "login": "me",
        "password": "s3cret-word",
        "host": "db",
        "port": 5432,
        "schema": "dw",
        "extra": '{"sslmode": "require"}',
    },
    "lake": {"conn_type": "aws", "extra": {"region_name": "eu-west-1"}},
    "odd": {"conn_type": "qubole", "host": "q", "login": None, "port": None, "extra": ""},
}


def test_connections_of_airflow_are_imported(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("db", "make-key") == 0
    path = home / "airflow.json"
    path.write_text(json.dumps(AIRFLOW))
    capsys.readouterr()
    assert run("connections", "import", str(path)) == 0
    said = capsys.readouterr()
    assert "3 connections are stored" in said.out
    assert said.err == "warning: nothing in Elastic uses the kind 'qubole' of connection 'odd'\n"
    assert run("connections", "get", "warehouse", "--show-secrets") == 0
    assert capsys.readouterr().out == "postgresql://me:s3cret-word@db:5432/dw?sslmode=require\n"
    assert run("connections", "get", "lake") == 0
    assert capsys.readouterr().out == "s3:///?region_name=eu-west-1\n"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"extra": "{"}, "the field 'extra' of connection 'c' must be a JSON object."),
        ({"port": "5432"}, "the field 'port' of connection 'c' is missing or invalid; correct it."),
        ({"password": ["x"]}, "the field 'password' of connection 'c' is missing or invalid; correct it."),
        ({"pass": "x"}, "connection 'c' has the unknown field 'pass'; remove it."),
        ({"conn_type": None}, "the field 'conn_type' of connection 'c' is missing or invalid; correct it."),
    ],
)
@pytest.mark.parametrize("kind_field", ["conn_type", "kind"])
def test_an_invalid_connection_of_a_file_is_named(
    home: Path, capsys: pytest.CaptureFixture[str], kind_field: str, change: dict[str, Any], said: str
) -> None:
    path = home / "connections.json"
    path.write_text(json.dumps({"c": {"conn_type": "postgres", **change}}).replace("conn_type", kind_field))
    assert run("connections", "import", str(path)) == 2
    assert capsys.readouterr().err == f"error: {path}: {said.replace('conn_type', kind_field)}\n"
