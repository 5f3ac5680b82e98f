"""Values that running tasks pass on before they end, and lines that they log."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import Connection, insert, select

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.db.database import Database
from elastic.db.matching import key_bind, key_match
from elastic.db.records import LogLine
from elastic.db.schema import log_line, task_instance
from elastic.db.transitions.attempts import keep_xcoms

_ti = task_instance.c


def push_xcoms(database: Database, key: TaskKey, attempt_uuid: str, values: Mapping[str, str]) -> bool:
    """Keep values (JSON texts by key) of the attempt that counts and runs; say whether it still does."""
    mine = select(_ti.task_id).where(key_match(_ti), _ti.attempt_uuid == attempt_uuid, _ti.state == TaskState.RUNNING)

    def work(connection: Connection, _: bool) -> bool:
        if connection.execute(mine.with_for_update(), key_bind(key)).one_or_none() is None:
            return False
        keep_xcoms(connection, key, values)
        return True

    return database.write(work)


def add_log_lines(database: Database, lines: Sequence[LogLine]) -> None:
    """Keep lines of logs."""
    rows = [asdict(line) for line in lines]
    if rows:
        database.write(lambda connection, _: connection.execute(insert(log_line), rows).close())
