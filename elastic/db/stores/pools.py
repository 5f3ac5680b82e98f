"""Store of pools by name."""

from typing import Any

from sqlalchemy import case, delete, func, select, update

from elastic.core.errors import UsageError
from elastic.dag.ids import check_key
from elastic.dag.states.state import TaskState
from elastic.db import audit
from elastic.db.database import Database
from elastic.db.errors import RowExistsError, UnknownRowError
from elastic.db.matching import insert_if_absent, same
from elastic.db.records import Pool
from elastic.db.schema import pool as table
from elastic.db.schema import task_instance
from elastic.db.schema.jobs import DEFAULT_POOL

_ti = task_instance.c


class PoolStore:
    """Store of the pools of a metadata database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Pool]:
        """Return all pools with their used slots."""
        queued = func.sum(case((_ti.state == TaskState.QUEUED, _ti.pool_slots), else_=0))
        running = func.sum(case((_ti.state == TaskState.RUNNING, _ti.pool_slots), else_=0))
        active = _ti.state.in_((TaskState.QUEUED, TaskState.RUNNING))
        query = (
            select(table, func.coalesce(queued, 0).label("queued"), func.coalesce(running, 0).label("running"))
            .join_from(table, task_instance, (table.c.pool == _ti.pool) & active, isouter=True)
            .group_by(table.c.pool, table.c.slots, table.c.description)
            .order_by(table.c.pool)
        )
        rows = self._database.query(lambda connection: connection.execute(query).all())
        return [
            Pool(
                pool=row.pool,
                slots=row.slots,
                description=row.description,
                queued=int(row.queued),
                running=int(row.running),
            )
            for row in rows
        ]

    def put(self, name: str, slots: int, description: str | None = None, *, is_new: bool = False) -> None:
        """Create or change a pool; -1 slots means no limit.

        Args:
            name: The name.
            slots: Number of slots.
            description: None keeps the old description.
            is_new: Whether the name must be free.

        Raises:
            UsageError: The number of slots is below -1.
            RowExistsError: The name is taken and `is_new` is True.
        """
        check_key("pool", name)
        if slots < -1:
            raise UsageError(f"pool {name!r} cannot have {slots} slots; give 0 or more, or -1 for no limit.")
        values: dict[str, Any] = {"slots": slots} | ({} if description is None else {"description": description})

        def work(connection: Any, again: bool) -> None:
            if connection.execute(insert_if_absent(connection, table), {"pool": name, **values}).rowcount != 1:
                if is_new and not again:
                    raise RowExistsError("pool", name, "choose another name, or change that one")
                connection.execute(update(table).where(table.c.pool == name).values(**values))
            audit.note(connection, "pool set", f"{name}: {slots} slots")

        self._database.write(work)

    def delete(self, name: str) -> None:
        """Delete a pool.

        Raises:
            UsageError: The pool is the default pool.
            UnknownRowError: The name is unknown.
        """
        if name == DEFAULT_POOL:
            raise UsageError(
                f"the pool {name!r} cannot be deleted, because tasks without a pool use it; set its slots instead."
            )

        def work(connection: Any, again: bool) -> None:
            if not connection.execute(delete(table).where(same(table.c.pool, name))).rowcount and not again:
                raise UnknownRowError("pool", name, "`elastic pools list` lists them")
            audit.note(connection, "pool deleted", name)

        self._database.write(work)
