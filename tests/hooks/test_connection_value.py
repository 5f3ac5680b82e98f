"""Connection values, their URLs, and their masked form."""

import copy
import pickle
import traceback

import pytest

from elastic.core.errors import UsageError
from elastic.core.redaction import masked_url
from elastic.db.url import read_url
from elastic.hooks import Connection
from elastic.hooks.connection_lookup import secrets_of_url

CANARY = "p@ss:w/rd #1?%"


@pytest.mark.parametrize(
    ("url", "fields"),
    [
        (
            "postgresql://ada:p%40ss%3Aw%2Frd@db.example:5433/words?sslmode=require&token=t%26",
            ("postgresql", "db.example", "ada", "p@ss:w/rd", "words", 5433, {"sslmode": "require", "token": "t&"}),
        ),
        ("mysql+pymysql://ada@[::1]/", ("mysql+pymysql", "::1", "ada", None, None, None, {})),
        ("sqlite:////var/lib/words.db", ("sqlite", None, None, None, "/var/lib/words.db", None, {})),
        ("sqlite:///words%20of%20mine.db", ("sqlite", None, None, None, "words of mine.db", None, {})),
        ("sqlite://", ("sqlite", None, None, None, None, None, {})),
        ("S3://key:secret@/bucket", ("s3", None, "key", "secret", "bucket", None, {})),
    ],
)
def test_a_url_is_read_and_written(url: str, fields: tuple[object, ...]) -> None:
    connection = Connection.of_url(url, "here")
    names = ("kind", "host", "login", "password", "schema", "port", "extra")
    assert tuple(getattr(connection, name) for name in names) == fields
    assert Connection.of_url(connection.url, "here") == connection


@pytest.mark.parametrize("kind", ["postgres", "mariadb+pymysql", "sqlite3", "duckdb"])
def test_kinds_have_one_name(kind: str) -> None:
    known = {"postgres": "postgresql", "mariadb": "mysql", "sqlite3": "sqlite"}
    name = kind.partition("+")[0]
    assert Connection(kind=kind).backend == known.get(name, name)


def test_a_connection_with_any_password_makes_a_round_trip() -> None:
    for password in (CANARY, "***", " ", "\u00e9\u4e2d", "%40"):
        connection = Connection(kind="mysql", host="h", login="a:b@c", password=password, schema="d e/f")
        assert Connection.of_url(connection.url) == connection


def test_no_text_of_a_connection_holds_its_secrets() -> None:
    connection = Connection(
        conn_id="here",
        kind="http",
        host="h",
        login="ada",
        password=CANARY,
        extra={"api_token": "to&ken", "plain": "seen"},
    )
    shown = [repr(connection), str(connection), f"{connection}", connection.masked_url, repr({"c": connection})]
    for text in shown:
        for secret in (CANARY, "p%40ss", "to&ken", "to%26ken"):
            assert secret not in text
    assert connection.masked_url == "http://ada:***@h/?api_token=***&plain=seen"
    assert set(connection.secrets) == {CANARY, "to&ken"}
    assert connection.masked(f"login {CANARY} at {connection.url} failed, to&ken") == (
        "login *** at http://ada:***@h/?api_token=***&plain=seen failed, ***"
    )


def test_a_connection_is_a_value() -> None:
    connection = Connection(conn_id="a", kind="s3", password="x", extra={"b": "c"})
    for twin in (copy.deepcopy(connection), pickle.loads(pickle.dumps(connection))):
        assert twin == connection
        assert hash(twin) == hash(connection)
    with pytest.raises(TypeError):
        connection.extra["b"] = "d"  # type: ignore[index]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:can/ary@h/db",
        "postgresql://u:1/canary@h/db",
        "postgresql://u:?canary@h/db",
        "postgresql://u:#canary@h/db",
        "postgresql://u:canary@canary@h/db",
        "postgresql://canary@other/canary@h/db",
        "postgresql://other/canary@h/db",
        "postgresql://h/db?user=canary@h",
        "sqlite:///words#canary.db",
        "postgresql://u:can\nary@h/db",
        "postgresql://other\\canary@h/db",
    ],
)
def test_a_url_that_others_may_read_in_another_way_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match=r"more than one way|contains #|control character") as caught:
        Connection.of_url(url, "here")
    if "#" not in url.partition("db")[0] or "@" in url:
        assert "canary" not in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match=r"database.url .*(more than one way|contains #|control character)"):
        read_url(url)


@pytest.mark.parametrize("url", ["mysql://u@h/db;password=canary", "mysql://u@h/db?a=b;pass%77ord=canary"])
def test_a_secret_where_only_some_look_for_settings_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match=r"secret after ;.* write settings after \? and &") as caught:
        Connection.of_url(url, "here")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("place", ["h/db?ssl%6Bey=canary", "h/db?a=1&ssl%6bey=canary", "h/db?a=1#password=canary"])
def test_a_secret_setting_is_masked_however_its_name_is_written(place: str) -> None:
    assert "canary" not in masked_url(f"postgresql://u:p@{place}")


def test_a_secret_is_known_as_its_url_writes_it() -> None:
    found = secrets_of_url("postgresql://u:c%2fanar%79@h/db?token=%61b+cd%2f&sslmode=require")
    assert set(found) == {"c/anary", "c%2fanar%79", "ab cd/", "%61b+cd%2f"}


def test_keys_of_connections_are_secrets_however_deep() -> None:
    connection = Connection.of_url("postgresql://u:canary@h/d?sslkey=/keys/canary.pem&sslmode=require")
    assert set(connection.secrets) == {"canary", "/keys/canary.pem"}
    assert connection.masked_url == "postgresql://u:***@h/d?sslkey=***&sslmode=require"
    nested = Connection(kind="http", host="h", extra={"headers": {"Authorization": "Bearer canary"}, "plain": "seen"})
    assert nested.secrets == ("Bearer canary",)
    assert "canary" not in nested.masked_url


@pytest.mark.parametrize(
    "url",
    [
        "no url",
        "ada:canary@host/name",
        "postgresql://ada:canary@host:port/name",
        "postgresql://ada:canary@[host/name",
        "//ada:canary@host",
        "canary",
        "",
        None,
    ],
)
def test_a_value_that_is_no_url_is_refused_without_showing_a_password(url: str) -> None:
    with pytest.raises(UsageError, match="write it like postgresql://") as caught:
        Connection.of_url(url, "here")
    assert "'here'" in str(caught.value)
    assert "canary" not in "".join(traceback.format_exception(caught.value)).replace(repr(url), "")
    assert "canary" not in str(caught.value)
