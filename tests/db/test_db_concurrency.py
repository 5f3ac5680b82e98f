"""Two connections that change the same rows at once; the test chooses the moment of the second one."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from db_samples import key_of, made_run, running
from sqlalchemy import event, text

from elastic.dag.states.state import TaskState
from elastic.db import queries, transitions
from elastic.db.database import Database
from elastic.db.errors import DatabaseBusyError
from elastic.db.records import QueueRequest
from elastic.db.schema import pool as pool_table
from elastic.db.stores.pools import PoolStore
from elastic.db.transitions.queueing import queue_in

#: Number of sessions that wait for a lock; MariaDB lists the statements that are still running.
_WAITING = {
    "postgresql": "SELECT count(*) FROM pg_locks WHERE NOT granted",
    "mysql": (
        "SELECT count(*) FROM information_schema.PROCESSLIST WHERE info LIKE '%FOR UPDATE' AND id <> connection_id()"
    ),
}

#: Reads the locks before the test fails.
_LOOKS = 20_000


@pytest.fixture
def other(database: Database, metadata_url: str) -> Any:
    """The same database, opened as another process does."""
    if database.is_sqlite:
        pytest.skip("SQLite lets one transaction write at a time, so nothing can come between")
    found = Database(metadata_url)
    yield found
    found.close()


@pytest.mark.parametrize(("pool", "concurrency"), [("narrow", 0), ("wide", 1)], ids=["pool", "concurrency"])
def test_two_who_fill_one_pool_or_one_dag_at_once_do_not_overfill_it(
    database: Database, other: Database, pool: str, concurrency: int
) -> None:
    PoolStore(database).put("narrow", 1)
    PoolStore(database).put("wide", 10)
    run = made_run(database, "first", "second")

    def ticket(name: str) -> QueueRequest:
        return QueueRequest(key=key_of(run, name), attempt_uuid=name, pool=pool, concurrency=concurrency)

    queued: list[bool] = []
    second = threading.Thread(target=lambda: queued.append(transitions.queue(other, ticket("second"))))
    with database.begin() as connection:
        assert queue_in(connection, [ticket("first")]) == {"first"}
        second.start()
        # The second one has to wait, or it would count uncommitted changes of the first one.
        _until(database, second)
    second.join(60)
    assert queued == [False]
    assert [one.key.task_id for one in queries.active_instances(database)] == ["first"]


def test_a_lease_that_is_renewed_while_others_look_is_not_taken_away(database: Database, other: Database) -> None:
    run = made_run(database, "kept", "lost")
    for name in ("kept", "lost"):
        running(database, key_of(run, name), name, lease=-1)

    def renew() -> None:
        transitions.renew(other, "me", 60, attempt_uuid="kept")

    with _before_the_change(database, renew):
        assert transitions.expire(database) == [key_of(run, "lost")]
    row = queries.instance(database, key_of(run, "kept"))
    assert row is not None
    assert (row.state, row.attempt_uuid) == (TaskState.RUNNING, "kept")


def _until(database: Database, thread: threading.Thread) -> None:
    """Return when a thread waits for a lock, or has ended."""
    query = text(_WAITING[database.engine.dialect.name.replace("mariadb", "mysql")])
    for _ in range(_LOOKS):
        if not thread.is_alive() or database.query(lambda connection: connection.execute(query).scalar_one()):
            return
    raise AssertionError("it neither waits nor ends")


class _before_the_change:  # noqa: N801 - reads as a block
    """Calls a function once, after a transaction has read task instances and before it changes them."""

    def __init__(self, database: Database, call: Callable[[], None]) -> None:
        self._engine, self._call, self._is_called = database.engine, call, False

    def __enter__(self) -> None:
        event.listen(self._engine, "before_cursor_execute", self._look)

    def __exit__(self, *raised: object) -> None:
        event.remove(self._engine, "before_cursor_execute", self._look)
        assert self._is_called

    def _look(self, connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        if statement.startswith("UPDATE task_instance") and not self._is_called:
            self._is_called = True
            self._call()


def test_a_lock_that_is_not_given_in_time_is_no_server_that_is_away(other: Database, metadata_url: str) -> None:
    impatient = Database(metadata_url, timeout=1.0)
    lock = pool_table.select().where(pool_table.c.pool == "default").with_for_update()
    with other.begin() as connection:
        connection.execute(lock)
        with pytest.raises(DatabaseBusyError), impatient.begin() as late:
            late.execute(lock)
    impatient.close()
