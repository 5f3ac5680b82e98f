"""XComs and log lines of running attempts, stored before the attempts end."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import Connection, and_, insert, select

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.db.database import Database
from elastic.db.matching import key_bind, key_match
from elastic.db.records import LogLine
from elastic.db.schema import log_line, task_instance
from elastic.db.transitions.attempts import store_xcoms

_ti = task_instance.c


def push_xcoms(database: Database, key: TaskKey, attempt_uuid: str, values: Mapping[str, str]) -> bool:
    """Store XComs (JSON by key) of the running attempt; return False if the attempt is stale."""
    is_current = and_(key_match(_ti), _ti.attempt_uuid == attempt_uuid, _ti.state == TaskState.RUNNING)
    current = select(_ti.task_id).where(is_current)

    def work(connection: Connection, _: bool) -> bool:
        if connection.execute(current.with_for_update(), key_bind(key)).one_or_none() is None:
            return False
        store_xcoms(connection, key, values)
        return True

    return database.write(work)


def add_log_lines(database: Database, lines: Sequence[LogLine]) -> None:
    """Store log lines."""
    rows = [asdict(line) for line in lines]
    if rows:
        database.write(lambda connection, _: connection.execute(insert(log_line), rows).close())
