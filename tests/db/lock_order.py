"""Recorder of the tables whose rows each transaction locks, in their order."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Engine, event

#: The order in which all code locks rows. Tables of one place belong together: those after the first have the rows of
#: a run or of an instance.
LOCK_ORDER = (
    ("pool",),
    ("dag_cursor",),
    ("backfill",),
    ("dag_run", "run_claim", "dag_run_attempt", "deadline", "run_callback"),
    ("task_instance", "task_attempt", "task_trigger", "xcom"),
)

_PLACES = {table: place for place, tables in enumerate(LOCK_ORDER) for table in tables}

_CHANGE = re.compile(r"\s*(?:UPDATE|DELETE\s+FROM)\s+[`\"]?(\w+)", re.IGNORECASE)
_FROM = re.compile(r"\b(?:FROM|JOIN)\s+[`\"]?(\w+)", re.IGNORECASE)
_NESTED = re.compile(r"\([^()]*\)")


def locked_tables(statement: str) -> list[str]:
    """Return the tables whose rows a statement locks. An INSERT makes rows that no other transaction sees yet."""
    change = _CHANGE.match(statement)
    if change is not None:
        return [change[1]]
    if "FOR UPDATE" not in statement:
        return []
    # The rows that a subquery reads are not locked.
    while _NESTED.search(statement):
        statement = _NESTED.sub("", statement)
    return _FROM.findall(statement)


def out_of_order(tables: Sequence[str]) -> str:
    """Return which table a transaction locked too late, by the first lock of each table; empty if none."""
    first = [table for table in dict.fromkeys(tables) if table in _PLACES]
    late = [two for one, two in pairwise(first) if _PLACES[two] < _PLACES[one]]
    return f"{late[0]} comes too late in: {', '.join(first)}" if late else ""


class LockRecorder:
    """Records the tables whose rows the transactions of an engine lock."""

    def __init__(self, engine: Engine) -> None:
        #: the tables that each transaction locked, in their order
        self.transactions: list[tuple[str, ...]] = []
        self._open: dict[int, list[str]] = {}
        event.listen(engine, "before_cursor_execute", self._execute)
        event.listen(engine, "commit", self._end)
        event.listen(engine, "rollback", self._end)

    def _execute(self, connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
        found = self._open.setdefault(id(connection), [])
        found += locked_tables(statement)

    def _end(self, connection: Connection) -> None:
        self.transactions.append(tuple(self._open.pop(id(connection), ())))
