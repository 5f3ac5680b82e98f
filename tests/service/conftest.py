"""Fixtures of the tests of the service."""

import pytest

from elastic.db.database import Database
from elastic.db.migration.upgrade import create


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def metadata(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One metadata database after the other."""
    if request.param != "sqlite":
        name = "postgres_server" if request.param == "postgresql" else "mariadb_server"
        url = request.getfixturevalue(name).create_database()
        found = Database(url)
        create(found)
        found.close()
        monkeypatch.setenv("ELASTIC__DATABASE__URL", url)
