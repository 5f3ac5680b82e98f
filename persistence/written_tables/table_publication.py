"""Publication of a table: the staging table of a step, and the transaction that moves its rows.

Each step is safe to repeat, so a resumed run continues a publication that a crash interrupted at any moment:

1. The claim in the commit table names the run and the epoch of its master.
2. The run records that the step has begun, so that every staging table belongs to a run that can be resumed.
3. The staging table is created, with the columns of the table and that of the attempt.
4. Workers add rows. Rows of attempts that no committed state names stay unseen.
5. One transaction moves the rows of the committed attempts, and notes these in the commit table.
6. The staging table is dropped.

With a key, workers change the table itself by upserts, and steps 3, 5 and 6 are left out.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from elastic.core.contracts.record_sink import Publication, SinkDefect, SinkOwner
from elastic.core.errors import ElasticError, StoreError, UsageError
from elastic.core.model.step import StepState
from elastic.core.model.written import Written, WrittenFile
from elastic.persistence.written_tables import commit_table as commits
from elastic.persistence.written_tables.row_output import ATTEMPT, Columns, RowWriter, columns_of
from elastic.persistence.written_tables.sql_target import RESUME_ADVICE, SqlTarget
from elastic.persistence.written_tables.table_layout import layout_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Attempts that one statement names: SQLite allowed 999 parameters once.
_MAX_NAMES = 500


def staging_of(owner: SinkOwner) -> str:
    """Return the name of the staging table of a step."""
    return "elastic_staging_" + blake2b(f"{owner.run_id}/{owner.step}".encode(), digest_size=8).hexdigest()


class TablePublication(Publication):
    """Publication of rows in a table.

    Args:
        owner: The step.
        target: The table.
        key: Columns by which rows are found and replaced; empty to add rows.
    """

    def __init__(self, owner: SinkOwner, target: SqlTarget, key: tuple[str, ...]) -> None:
        self._owner, self._target, self._key = owner, target, key
        self._staging = "" if key else staging_of(owner)
        self._writer = RowWriter(target, owner, self._staging)
        self.writer = self._writer
        self._is_claimed = False

    def check(self) -> None:
        try:
            self._read_layout()
        except StoreError as error:
            raise UsageError(str(error).replace(RESUME_ADVICE, "check the URL")) from None

    def prepare(self, parts: Sequence[WrittenFile]) -> None:
        self._read_layout()
        commits.create_commit_table(self._target)
        self._target.retried(lambda connection: commits.claim(connection, self._target, self._owner))
        self._is_claimed = True

    def begin(self, parts: Sequence[WrittenFile]) -> None:
        if self._staging:
            self._make_staging(parts)

    def written(self, parts: Sequence[WrittenFile]) -> Written:
        files = tuple(sorted(parts, key=lambda part: (part.chunks, part.name)))
        return Written(self._target.shown_url, files, self._target.shown_table)

    def publish(self, parts: Sequence[WrittenFile]) -> None:
        self._target.retried(lambda connection: self._commit(connection, parts))
        self._drop_staging()
        self._is_claimed = False

    def release(self, outcome: StepState, parts: Sequence[WrittenFile], *, keep: bool) -> None:
        if not self._is_claimed or outcome.is_complete or keep:
            return
        with suppress(ElasticError):
            with self._target.transaction() as connection:
                commits.check_claim(connection, self._target, self._owner, lock=True)
                commits.give_up(connection, self._target, self._owner)
            self._drop_staging()

    def defects(self, parts: Sequence[WrittenFile]) -> Iterator[SinkDefect]:
        """Yield the differences between the commit table and the parts of a complete step; the rows are not read.

        Raises:
            StoreError: The database cannot be read.
        """
        target, owner = self._target, self._owner
        with target.transaction() as connection:
            commit = commits.commit_of(connection, target, owner)
            done = {} if commit is None or not self._staging else commits.published(connection, target, owner)
        if commit is None or commit[1] is None:
            yield SinkDefect(f"{commits.COMMITS} of {target} does not say that the run has published its rows")
            return
        total = sum(part.records for part in parts)
        if commit[0] != total:
            yield SinkDefect(
                f"{commits.COMMITS} of {target} has {commit[0]:,} records for the run instead of {total:,}"
            )
        for part in parts if self._staging else ():
            records = done.pop(part.name, None)
            if records != part.records:
                what = "no row" if records is None else f"{records:,} records"
                yield SinkDefect(f"{commits.COMMITS} of {target} has {what} for the part {part.name}", part)
        for name in done:
            yield SinkDefect(f"{commits.COMMITS} of {target} has a part {name} that the run has not committed")

    # -- before the run

    def _read_layout(self) -> None:
        target = self._target
        with target.transaction() as connection:
            target.mark(connection)
            layout = layout_of(connection, target, self._key)
        if self._staging and ATTEMPT in layout.columns:
            raise UsageError(f"{target} has a column {ATTEMPT!r}, which the staging table needs; rename it.")
        self._writer.layout = layout

    def _make_staging(self, parts: Sequence[WrittenFile]) -> None:
        with self._target.transaction() as connection:
            done = commits.published(connection, self._target, self._owner)
            missing = [part for part in parts if part.name not in done]
            columns = self._columns(connection, self._staging)
        if ATTEMPT in columns:
            return
        if missing:
            raise StoreError(
                f"the rows that run {self._owner.run_id} has written to {self._staging!r} of {self._target.shown_url} "
                "are missing; start a new run."
            )
        if columns:  # MySQL has committed half of the creation
            self._drop_staging()
        self._target.retried(self._create_staging)

    def _create_staging(self, connection: "Connection") -> None:
        target = self._target
        staging, engine = target.quoted_table(self._staging), " ENGINE=InnoDB" if target.database == "mysql" else ""
        columns = target.quoted_list(
            [name for name, column in self._writer.layout.columns.items() if not column.refused]
        )
        source = target.quoted_table(target.table)
        _run(connection, f"CREATE TABLE {staging}{engine} AS SELECT {columns} FROM {source} WHERE 1 = 0")  # noqa: S608
        for name in self._limited(connection):
            _run(connection, f"ALTER TABLE {staging} MODIFY {name}")
        _run(connection, f"ALTER TABLE {staging} ADD COLUMN {target.quoted(ATTEMPT)} varchar(40)")

    def _limited(self, connection: "Connection") -> list[str]:
        """Return what makes columns of MySQL accept NULL: absent columns of a row are NULL until they are moved."""
        if self._target.database != "mysql":
            return []
        from sqlalchemy import text

        query = text(
            "SELECT column_name, column_type, character_set_name, collation_name FROM information_schema.columns "
            "WHERE table_name = :name AND table_schema = coalesce(:place, database()) AND is_nullable = 'NO'"
        )
        found = connection.execute(query, {"name": self._staging, "place": self._target.schema})
        return [self._nullable(*row) for row in found]

    def _nullable(self, name: str, kind: str, charset: str | None, collation: str | None) -> str:
        text = f" CHARACTER SET {charset} COLLATE {collation}" if charset else ""
        return f"{self._target.quoted(name)} {kind}{text} NULL"

    def _columns(self, connection: "Connection", table: str) -> list[str]:
        """Return the columns of a table; empty if it does not exist."""
        from sqlalchemy import inspect

        inspector = inspect(connection)
        if not inspector.has_table(table, schema=self._target.schema):
            return []
        return [str(each["name"]) for each in inspector.get_columns(table, schema=self._target.schema)]

    # -- after the last chunk

    def _commit(self, connection: "Connection", parts: Sequence[WrittenFile]) -> None:
        target, owner = self._target, self._owner
        commits.check_claim(connection, target, owner, lock=True)
        new: list[WrittenFile] = []
        if self._staging:
            done = commits.published(connection, target, owner)
            new = [part for part in parts if part.name not in done]
            by_columns: dict[Columns, list[WrittenFile]] = {}
            for part in new:
                by_columns.setdefault(columns_of(part), []).append(part)
            for columns, group in by_columns.items():
                for first in range(0, len(group), _MAX_NAMES):
                    self._move(connection, columns, group[first : first + _MAX_NAMES])
        commits.publish_rows(connection, target, owner, new, sum(part.records for part in parts))

    def _move(self, connection: "Connection", columns: Columns, parts: Sequence[WrittenFile]) -> None:
        target, names = self._target, self._target.quoted_list(columns)
        marks = ", ".join("\0" for _ in parts)
        statement = (
            f"INSERT INTO {target.quoted_table(target.table)} ({names}) SELECT {names} "  # noqa: S608  # quoted
            f"FROM {target.quoted_table(self._staging)} WHERE {target.quoted(ATTEMPT)} IN ({marks})"
        )
        text = target.with_marks(connection, statement)
        moved = connection.exec_driver_sql(text, tuple(part.name for part in parts)).rowcount
        expected = sum(part.records for part in parts)
        if moved != expected:
            raise StoreError(
                f"{target} would get {moved} of {expected} rows: rows of {self._staging!r} are missing, or a trigger "
                f"refuses them; nothing was moved. Start a new run."
            )

    def _drop_staging(self) -> None:
        if self._staging:
            with self._target.transaction() as connection:
                _run(connection, f"DROP TABLE IF EXISTS {self._target.quoted_table(self._staging)}")


def _run(connection: "Connection", statement: str) -> Any:
    """Run a statement in which the driver sees no marks."""
    return connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
