"""Each kind of metadata database, empty for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from elastic.db.database import Database
from elastic.db.migration.upgrade import create, insert_default_rows
from elastic.db.schema import metadata
from tests.db.lock_order import LockRecorder, out_of_order

DATABASES = ("sqlite", "postgresql", "mariadb")


@pytest.fixture(scope="session", params=DATABASES)
def metadata_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of each kind of database in turn."""
    name: str = request.param
    if name == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('metadata')}/elastic.db"
    server = request.getfixturevalue("postgres_server" if name == "postgresql" else "mariadb_server")
    url: str = server.create_database()
    return url


@pytest.fixture(scope="session")
def _made(metadata_url: str) -> Iterator[Database]:
    database = Database(metadata_url)
    create(database)
    yield database
    database.close()


@pytest.fixture(scope="session")
def _recorder(_made: Database) -> LockRecorder:
    return LockRecorder(_made.engine)


@pytest.fixture
def database(_made: Database, _recorder: LockRecorder) -> Iterator[Database]:
    """Each kind of database in turn, with tables and without rows; its transactions must keep the order of locks."""
    with _made.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(table.delete())
        insert_default_rows(connection)
    _recorder.transactions.clear()
    yield _made
    # SQLite locks no rows: one transaction writes at a time.
    if not _made.is_sqlite:
        assert list(filter(None, map(out_of_order, _recorder.transactions))) == []


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    """A SQLite database."""
    database = Database(f"sqlite:///{tmp_path}/elastic.db")
    create(database)
    yield database
    database.close()
