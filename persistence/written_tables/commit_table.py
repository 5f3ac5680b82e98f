"""Commit table: the runs that write to tables of a database, and the parts of them that were published.

Each step has a row with an empty part, the *claim*: it holds the epoch of the master, and the instant of the last
publication. Without a key, each published part has a row too, written in the transaction that moves the rows.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from elastic.core.contracts.record_sink import SinkOwner
from elastic.core.errors import StoreError
from elastic.core.model.written import WrittenFile
from elastic.persistence.written_tables.sql_target import SqlTarget

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

#: Name of the commit table; it is in the schema of the written table.
COMMITS = "elastic_commit"

#: Part of the row that is the claim of a step.
_CLAIM = ""


def commit_table(target: SqlTarget) -> "Table":
    """Return the definition of the commit table."""
    from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, String, Table, Text

    return Table(
        COMMITS,
        MetaData(),
        Column("run_id", String(100), primary_key=True),
        Column("step", Integer, primary_key=True, autoincrement=False),
        Column("part", String(40), primary_key=True),
        Column("epoch", Integer, nullable=False),
        Column("table_name", Text, nullable=False),
        Column("records", BigInteger, nullable=False),
        Column("committed_at", DateTime),
        schema=target.schema,
        mysql_engine="InnoDB",
        mariadb_engine="InnoDB",
    )


def create_commit_table(target: SqlTarget) -> None:
    """Create the commit table unless it exists. Raises StoreError."""
    from sqlalchemy import inspect

    table = commit_table(target)

    def work(connection: "Connection") -> None:
        if not inspect(connection).has_table(COMMITS, schema=target.schema):
            table.create(connection)

    try:
        target.retried(work)
    except StoreError:
        # Another run may have created it at the same time.
        with target.transaction() as connection:
            if inspect(connection).has_table(COMMITS, schema=target.schema):
                return
        raise


def claim(connection: "Connection", target: SqlTarget, owner: SinkOwner) -> None:
    """Claim the table for a master of a step, which fences earlier masters.

    Raises:
        StoreError: A later master has it.
    """
    from sqlalchemy import insert, update

    table = commit_table(target)
    found = _epoch(connection, target, owner, lock=True)
    if found is None:
        values = {"epoch": owner.epoch, "table_name": target.shown_table, "records": 0, "committed_at": None}
        connection.execute(insert(table).values(run_id=owner.run_id, step=owner.step, part=_CLAIM, **values))
        return
    _check_epoch(target, owner, found)
    connection.execute(update(table).where(*_row(table, owner)).values(epoch=owner.epoch))


def check_claim(connection: "Connection", target: SqlTarget, owner: SinkOwner, *, lock: bool = False) -> None:
    """Check that the table is still claimed by a master.

    Raises:
        StoreError: It is not, or a later master has it.
    """
    found = _epoch(connection, target, owner, lock=lock)
    if found is None:
        raise StoreError(
            f"{target} is not, for this process, the one to which run {owner.run_id} writes: {COMMITS} has no row of "
            "the run; use a database that all hosts reach, or start a new run."
        )
    _check_epoch(target, owner, found)


def published(connection: "Connection", target: SqlTarget, owner: SinkOwner) -> dict[str, int]:
    """Return the records of each published part."""
    from sqlalchemy import select

    table = commit_table(target)
    query = select(table.c.part, table.c.records).where(
        table.c.run_id == owner.run_id, table.c.step == owner.step, table.c.part != _CLAIM
    )
    return {row.part: row.records for row in connection.execute(query)}


def publish_rows(
    connection: "Connection", target: SqlTarget, owner: SinkOwner, parts: Iterable[WrittenFile], total: int
) -> None:
    """Write the rows of newly published parts, and the total of the step."""
    from sqlalchemy import func, insert, update

    table = commit_table(target)
    same = {"run_id": owner.run_id, "step": owner.step, "epoch": owner.epoch, "table_name": target.shown_table}
    rows = [{**same, "part": part.name, "records": part.records} for part in parts]
    if rows:
        connection.execute(insert(table).values(committed_at=func.now()), rows)
    connection.execute(update(table).where(*_row(table, owner)).values(records=total, committed_at=func.now()))


def commit_of(connection: "Connection", target: SqlTarget, owner: SinkOwner) -> tuple[int, Any] | None:
    """Return the records and the instant of the last publication of a step; None without a claim."""
    from sqlalchemy import inspect, select

    table = commit_table(target)
    if not inspect(connection).has_table(COMMITS, schema=target.schema):
        return None
    found = connection.execute(select(table.c.records, table.c.committed_at).where(*_row(table, owner))).one_or_none()
    return None if found is None else (found.records, found.committed_at)


def give_up(connection: "Connection", target: SqlTarget, owner: SinkOwner) -> None:
    """Remove the claim of a step that published nothing."""
    from sqlalchemy import delete

    table = commit_table(target)
    connection.execute(delete(table).where(*_row(table, owner), table.c.committed_at.is_(None)))


def _epoch(connection: "Connection", target: SqlTarget, owner: SinkOwner, *, lock: bool) -> int | None:
    from sqlalchemy import select

    table = commit_table(target)
    query = select(table.c.epoch).where(*_row(table, owner))
    found: int | None = connection.execute(query.with_for_update() if lock else query).scalar_one_or_none()
    return found


def _row(table: "Table", owner: SinkOwner) -> tuple[Any, ...]:
    return table.c.run_id == owner.run_id, table.c.step == owner.step, table.c.part == _CLAIM


def _check_epoch(target: SqlTarget, owner: SinkOwner, found: int) -> None:
    if found > owner.epoch:
        raise StoreError(
            f"{target} belongs to a later master of run {owner.run_id} (epoch {found}, this one has {owner.epoch}); "
            "wait for that master."
        )
