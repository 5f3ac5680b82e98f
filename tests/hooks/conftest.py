"""The databases that every SQL hook is tried on."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from elastic.hooks import Connection, SqlHook

DATABASES = ("sqlite", "postgresql", "mariadb", "duckdb")


@pytest.fixture(scope="session", params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of one database after the other."""
    name: str = request.param
    if name in ("postgresql", "mariadb"):
        yield request.getfixturevalue("postgres_url" if name == "postgresql" else "mariadb_url")
        return
    path: Path = tmp_path_factory.mktemp(name) / "hook.db"
    with contextlib.ExitStack() as held:
        if name == "duckdb":
            # Opening a file of DuckDB takes it 40 ms, unless it is open in this process.
            held.enter_context(pytest.importorskip("duckdb").connect(path))
        yield Connection(kind=name, schema=str(path)).url


@pytest.fixture
def hook(database_url: str) -> SqlHook:
    """A hook on one database after the other, without the tables of other tests."""
    hook = SqlHook(url=database_url)
    hook.run([f"drop table if exists {table}" for table in ("words", "wide", "copied")])
    return hook
