"""The tables: created, checked, migrated between versions."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from db_samples import made_run
from sqlalchemy import inspect, text

from elastic.core.errors import UsageError
from elastic.db import queries
from elastic.db.database import Database
from elastic.db.errors import DatabaseVersionError
from elastic.db.migration import upgrade
from elastic.db.migration.revisions import HEAD, REVISIONS
from elastic.db.schema import metadata
from elastic.db.stores.pools import PoolStore

TABLES = set(metadata.tables)


@pytest.fixture
def empty(request: pytest.FixtureRequest, metadata_url: str, tmp_path: Path) -> Iterator[Database]:
    """Each kind of database in turn, without tables."""
    url = f"sqlite:///{tmp_path}/elastic.db"
    if not metadata_url.startswith("sqlite"):
        server = request.getfixturevalue("postgres_server" if "postgresql" in metadata_url else "mariadb_server")
        url = server.create_database()
    database = Database(url)
    yield database
    database.close()


def _tables(database: Database) -> set[str]:
    return set(database.query(lambda connection: inspect(connection).get_table_names())) - {"alembic_version"}


def _set_version(database: Database, version: str) -> None:
    with database.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})


def test_the_steps_of_migration_lead_to_the_tables_of_this_version(empty: Database) -> None:
    from alembic import command
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with empty.begin() as connection:
        command.upgrade(upgrade.configuration(connection), HEAD)
    assert upgrade.version_of(empty) == HEAD
    assert [pool.pool for pool in PoolStore(empty).all()] == ["default"]
    with empty.read() as connection:
        stepped = compare_metadata(MigrationContext.configure(connection), metadata)
    assert stepped == []
    upgrade.reset(empty)
    with empty.read() as connection:
        made_at_once = compare_metadata(MigrationContext.configure(connection), metadata)
    assert made_at_once == []


def test_a_database_goes_down_to_nothing_and_up_again(empty: Database) -> None:
    assert upgrade.migrate(empty) is None
    assert _tables(empty) == TABLES
    assert upgrade.migrate(empty) == HEAD
    made_run(empty, "load")
    upgrade.downgrade(empty, "base")
    assert _tables(empty) == set()
    with pytest.raises(DatabaseVersionError, match=r"has no tables yet.*run `elastic db migrate`"):
        upgrade.check(empty)
    assert upgrade.migrate(empty) is None
    assert queries.runs(empty) == []
    upgrade.check(empty)


def test_reset_forgets_everything(empty: Database) -> None:
    upgrade.migrate(empty)
    made_run(empty, "load")
    PoolStore(empty).put("narrow", 1)
    upgrade.reset(empty)
    assert queries.runs(empty) == []
    assert [pool.pool for pool in PoolStore(empty).all()] == ["default"]


def test_a_database_from_a_newer_version_is_refused_and_left_alone(empty: Database) -> None:
    upgrade.migrate(empty)
    _set_version(empty, "9999")
    for refused in (upgrade.create_or_check, upgrade.check, upgrade.migrate):
        with pytest.raises(DatabaseVersionError, match=rf"newer version 9999.*version {HEAD}; use the newer") as told:
            refused(empty)
        assert "\n" not in str(told.value)
    with pytest.raises(DatabaseVersionError, match="newer version 9999"):
        upgrade.downgrade(empty, "base")
    assert _tables(empty) == TABLES


def test_only_sqlite_is_made_by_itself(empty: Database) -> None:
    if empty.is_sqlite:
        upgrade.create_or_check(empty)
        upgrade.create_or_check(empty)
        assert _tables(empty) == TABLES
    else:
        with pytest.raises(DatabaseVersionError, match="has no tables yet"):
            upgrade.create_or_check(empty)
        assert _tables(empty) == set()


def test_a_version_that_is_not_there_is_named(sqlite_database: Database) -> None:
    with pytest.raises(UsageError, match="no version '0815'; choose one of base, 0001"):
        upgrade.downgrade(sqlite_database, "0815")


def test_the_program_knows_the_versions_without_asking_alembic(sqlite_database: Database) -> None:
    from alembic.script import ScriptDirectory

    with sqlite_database.read() as connection:
        scripts = ScriptDirectory.from_config(upgrade.configuration(connection))
    assert tuple(reversed([script.revision for script in scripts.walk_revisions()])) == REVISIONS
    assert scripts.get_current_head() == HEAD


def test_processes_that_need_the_database_at_once_make_it_once(tmp_path: Path) -> None:
    code = (
        "import sys; from elastic.db.database import Database;"
        "from elastic.db.migration.upgrade import create_or_check;"
        "database = Database(sys.argv[1]); print('ready', flush=True); sys.stdin.readline();"
        "create_or_check(database)"
    )
    url = f"sqlite:///{tmp_path}/elastic.db"
    makers = [
        subprocess.Popen([sys.executable, "-c", code, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for maker in makers:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "ready\n"
    for maker in makers:
        maker.communicate("go\n", timeout=60)
    assert [maker.returncode for maker in makers] == [0, 0, 0]
    database = Database(url)
    assert _tables(database) == TABLES
    database.close()


def test_making_or_checking_the_database_does_not_import_alembic(tmp_path: Path) -> None:
    code = (
        "import sys; from elastic.db.database import Database;"
        "from elastic.db.migration.upgrade import create_or_check;"
        "create_or_check(Database(sys.argv[1])); assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, f"sqlite:///{tmp_path}/elastic.db"], check=True)
