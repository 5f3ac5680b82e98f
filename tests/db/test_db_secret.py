"""Secrets: encrypted in the database, stored and read only with the right key."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from elastic.config.secret_mask import masked
from elastic.config.settings import read_settings
from elastic.core.errors import UsageError
from elastic.dag.errors import InvalidKeyError
from elastic.db import lookup, queries
from elastic.db.database import Database
from elastic.db.encryption import Cipher, add_key, cipher_of, keep_first_key, key_path, new_key
from elastic.db.errors import MissingKeyError, RowExistsError, SecretError, UnknownRowError, WrongKeyError
from elastic.db.open_database import open_database
from elastic.db.stores.connections import ConnectionStore
from elastic.db.stores.variables import VariableStore
from elastic.hooks.connection import Connection

CANARY, EXTRA = "canary-4711-pässword", "canary-0815-token"
WAREHOUSE = Connection(
    conn_id="warehouse",
    kind="postgresql",
    host="db.example.org",
    login="me",
    password=CANARY,
    schema="events",
    port=5433,
    extra={"api_token": EXTRA, "n": 1},
)


@pytest.fixture
def cipher() -> Cipher:
    """A cipher with one key."""
    return Cipher([new_key()])


def test_a_connection_comes_back_as_it_was_kept(database: Database, cipher: Cipher) -> None:
    store = ConnectionStore(database, cipher)
    store.add(WAREHOUSE)
    assert store.get("warehouse") == WAREHOUSE
    assert store.find("nothing") is None
    (listed,) = store.all()
    assert (listed.conn_id, listed.host, listed.port, listed.password, dict(listed.extra)) == (
        "warehouse",
        "db.example.org",
        5433,
        None,
        {},
    )


def test_a_copy_of_the_database_shows_no_secret(database: Database, cipher: Cipher) -> None:
    ConnectionStore(database, cipher).add(WAREHOUSE)
    VariableStore(database, cipher).put("bucket", CANARY)
    with database.read() as connection:
        tables = [row[0] for row in connection.execute(text("SELECT conn_id FROM connection"))]
        dump = "".join(
            str(tuple(row))
            for table in ("connection", "variable", "log")
            for row in connection.execute(text(f"SELECT * FROM {table}"))
        )
    assert tables == ["warehouse"]
    assert "db.example.org" in dump
    assert "canary" not in dump
    if database.path is not None:
        assert b"canary" not in database.path.read_bytes()
        assert b"canary" not in database.path.with_name("elastic.db-journal").read_bytes()


def test_without_a_key_no_secret_is_kept(sqlite_database: Database) -> None:
    keyless = Cipher([])
    connections, variables = ConnectionStore(sqlite_database, keyless), VariableStore(sqlite_database, keyless)
    with pytest.raises(MissingKeyError, match=r"no Fernet key for the password of connection 'warehouse'; make one"):
        connections.add(WAREHOUSE)
    with pytest.raises(MissingKeyError):
        variables.put("bucket", "data")
    assert connections.all() == []
    assert variables.keys() == []


def test_without_a_key_a_connection_without_secrets_is_kept(sqlite_database: Database) -> None:
    store = ConnectionStore(sqlite_database, Cipher([]))
    file = Connection(conn_id="file", kind="sqlite", schema="/data/words.db")
    store.add(file)
    assert store.get("file") == file


def test_a_wrong_key_reads_nothing_and_says_so(database: Database, cipher: Cipher) -> None:
    ConnectionStore(database, cipher).add(WAREHOUSE)
    VariableStore(database, cipher).put("bucket", "data")
    wrong = Cipher([new_key()])
    with pytest.raises(WrongKeyError, match="was encrypted with another Fernet key") as told:
        ConnectionStore(database, wrong).get("warehouse")
    assert "\n" not in str(told.value)
    with pytest.raises(WrongKeyError):
        VariableStore(database, wrong).get("bucket")
    with pytest.raises(WrongKeyError):
        ConnectionStore(database, wrong).rotate()
    with pytest.raises(MissingKeyError):
        ConnectionStore(database, Cipher([])).get("warehouse")
    assert ConnectionStore(database, cipher).get("warehouse") == WAREHOUSE
    assert [connection.conn_id for connection in ConnectionStore(database, wrong).all()] == ["warehouse"]


def test_one_row_of_another_key_hides_no_other(database: Database, cipher: Cipher) -> None:
    for one, name in ((Cipher([new_key()]), "a"), (cipher, "b"), (Cipher([new_key()]), "c")):
        ConnectionStore(database, one).add(Connection(conn_id=name, kind="mysql", password="x"))
        VariableStore(database, one).put(name, "data")
    assert [found.conn_id for found in ConnectionStore(database, cipher).readable()] == ["b"]
    assert [found.key for found in VariableStore(database, cipher).readable()] == ["b"]


def test_keys_are_replaced_step_by_step(database: Database) -> None:
    old, new = new_key(), new_key()
    ConnectionStore(database, Cipher([old])).add(WAREHOUSE)
    VariableStore(database, Cipher([old])).put("bucket", "data", "where it is")
    both = Cipher([new, old])
    assert ConnectionStore(database, both).get("warehouse") == WAREHOUSE
    assert (ConnectionStore(database, both).rotate(), VariableStore(database, both).rotate()) == (1, 1)
    assert ConnectionStore(database, Cipher([new])).get("warehouse") == WAREHOUSE
    variable = VariableStore(database, Cipher([new])).get("bucket")
    assert (variable.value, variable.description) == ("data", "where it is")
    with pytest.raises(WrongKeyError):
        ConnectionStore(database, Cipher([old])).get("warehouse")


def test_a_secret_that_was_copied_into_another_row_is_refused(database: Database, cipher: Cipher) -> None:
    store = ConnectionStore(database, cipher)
    store.add(WAREHOUSE)
    store.add(Connection(conn_id="mine", kind="postgresql", host="evil.example.org", password="known"))
    with database.begin() as connection:
        (stolen,) = connection.execute(text("SELECT password FROM connection WHERE conn_id = 'warehouse'")).one()
        connection.execute(text("UPDATE connection SET password = :p WHERE conn_id = 'mine'"), {"p": stolen})
    with pytest.raises(SecretError, match="contains the encrypted value of the password of connection 'warehouse'"):
        store.get("mine")


def test_a_secret_that_was_read_is_masked_in_logs(sqlite_database: Database, cipher: Cipher) -> None:
    store = ConnectionStore(sqlite_database, cipher)
    store.add(WAREHOUSE)
    VariableStore(sqlite_database, cipher).put("api_key", "canary-2222-key")
    store.get("warehouse")
    VariableStore(sqlite_database, cipher).get("api_key")
    assert masked(f"{CANARY} {EXTRA} canary-2222-key") == "*** *** ***"
    assert "canary" not in repr(VariableStore(sqlite_database, cipher).get("api_key"))


def test_operations_on_secrets_are_logged_without_them(sqlite_database: Database, cipher: Cipher) -> None:
    store = ConnectionStore(sqlite_database, cipher)
    store.add(WAREHOUSE)
    store.delete("warehouse")
    VariableStore(sqlite_database, cipher).put("bucket", "data")
    VariableStore(sqlite_database, cipher).delete("bucket")
    assert [(event.event, event.detail) for event in queries.events(sqlite_database)] == [
        ("connection set", "warehouse"),
        ("connection deleted", "warehouse"),
        ("variable set", "bucket"),
        ("variable deleted", "bucket"),
    ]


def test_an_id_that_is_taken_is_not_overwritten_unless_asked(database: Database, cipher: Cipher) -> None:
    store = ConnectionStore(database, cipher)
    store.add(WAREHOUSE)
    other = Connection(conn_id="warehouse", kind="mysql")
    with pytest.raises(RowExistsError, match="connection 'warehouse' exists already"):
        store.add_all([Connection(conn_id="new", kind="sqlite"), other])
    assert [connection.conn_id for connection in store.all()] == ["warehouse"]
    store.add(other, overwrite=True)
    assert store.get("warehouse") == other


def test_an_unknown_extra_setting_is_refused_however_a_connection_is_stored(
    sqlite_database: Database, cipher: Cipher
) -> None:
    store = ConnectionStore(sqlite_database, cipher)
    store.add(Connection(conn_id="post", kind="smtp"))
    fields = {"kind": "smtp", "extra": {"startls": "require"}}
    wrong = Connection(conn_id="new", **fields)  # type: ignore[arg-type]
    for store_it in (
        lambda: store.add(wrong),
        lambda: store.add_all([WAREHOUSE, wrong]),
        lambda: store.put({"conn_id": "new", **fields}, is_new=True),
        lambda: store.put({"conn_id": "post", **fields}, is_new=False),
    ):
        with pytest.raises(UsageError, match="has no extra setting 'startls'; did you mean 'starttls'"):
            store_it()
    assert store.all() == [Connection(conn_id="post", kind="smtp")]


def test_what_isnt_defined_is_named(database: Database, cipher: Cipher) -> None:
    connections, variables = ConnectionStore(database, cipher), VariableStore(database, cipher)
    for refused in (connections.get, connections.delete):
        with pytest.raises(UnknownRowError, match="connection 'nope' isn't defined"):
            refused("nope")
    for refused in (variables.get, variables.delete):
        with pytest.raises(UnknownRowError, match="variable 'nope' isn't defined"):
            refused("nope")
    with pytest.raises(InvalidKeyError):
        variables.put("a/b", "1")
    with pytest.raises(InvalidKeyError):
        connections.add(Connection(conn_id="..", kind="sqlite"))


def test_variables_keep_their_description_until_they_get_another(database: Database, cipher: Cipher) -> None:
    store = VariableStore(database, cipher)
    store.put("bucket", "a", "where")
    store.put("bucket", "b\nc \N{SNOWMAN}")
    store.put_all({"x": "1", "y": ""})
    assert [(one.key, one.value, one.description) for one in store.all()] == [
        ("bucket", "b\nc \N{SNOWMAN}", "where"),
        ("x", "1", None),
        ("y", "", None),
    ]


@pytest.mark.parametrize("key", ["short", "x" * 44, "ü" * 44])
def test_a_value_that_is_no_key_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(UsageError, match="Fernet key 2 is invalid") as told:
        Cipher([new_key(), key])
    assert key not in str(told.value)


class TestKeyFile:
    """The file that holds the keys."""

    @pytest.fixture
    def path(self, home: Path) -> Iterator[Path]:
        """The path of the key file, which may not exist yet."""
        yield key_path(read_settings())

    def test_it_is_made_for_its_owner_only_and_the_newest_key_is_first(self, path: Path) -> None:
        assert not path.exists()
        assert add_key(path) == 1
        first = path.read_text()
        assert add_key(path) == 2
        assert path.read_text().endswith(first)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        keep_first_key(path)
        assert first not in path.read_text()
        assert len(path.read_text().split()) == 1
        assert [file.name for file in path.parent.iterdir()] == [path.name]

    def test_a_key_that_others_may_read_is_refused(self, path: Path) -> None:
        add_key(path)
        path.chmod(0o640)
        with pytest.raises(UsageError, match="is readable by other users; run `chmod 600"):
            cipher_of(read_settings())

    def test_the_environment_goes_before_it(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        add_key(path)
        token = cipher_of(read_settings()).encrypt("x", "text")
        monkeypatch.setenv("ELASTIC__SECRETS__FERNET_KEY", f"{new_key()}, {path.read_text().strip()}")
        assert cipher_of(read_settings()).decrypt("x", token) == "text"
        monkeypatch.setenv("ELASTIC__SECRETS__FERNET_KEY", new_key())
        with pytest.raises(WrongKeyError):
            cipher_of(read_settings()).decrypt("x", token)

    def test_hooks_and_templates_find_stored_values(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from elastic.hooks.connection_lookup import connection
        from elastic.hooks.errors import ConnectionNotDefinedError

        add_key(path)
        settings = read_settings()
        ConnectionStore(open_database(settings), cipher_of(settings)).add(WAREHOUSE)
        VariableStore(open_database(settings), cipher_of(settings)).put("my.bucket", "data")
        assert connection("warehouse") == WAREHOUSE
        assert (lookup.variable("my.bucket"), lookup.variable("nothing")) == ("data", None)
        monkeypatch.setenv("ELASTIC_VAR_MY_BUCKET", "other")
        assert lookup.variable("my.bucket") == "other"
        with pytest.raises(ConnectionNotDefinedError, match="connection 'nothing' isn't defined"):
            connection("nothing")

    def test_one_process_has_one_database(self, path: Path) -> None:
        assert open_database() is open_database(read_settings())
        open_database().close()


def test_the_file_of_the_database_holds_no_key(sqlite_database: Database, home: Path) -> None:
    add_key(home / "fernet.key")
    key = (home / "fernet.key").read_text().strip()
    ConnectionStore(sqlite_database, Cipher([key])).add(WAREHOUSE)
    assert sqlite_database.path is not None
    assert key.encode() not in sqlite_database.path.read_bytes()
