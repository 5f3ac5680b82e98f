"""Parquet files: one chunk per row group (https://parquet.apache.org/docs/file-format)."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, NamedTuple

from elastic.core.contracts.source import Source
from elastic.core.errors import SourceChangedError, SourceError, UsageError
from elastic.core.model.chunk import Position, Reference, SourcePiece
from elastic.core.suggest import did_you_mean
from elastic.stages.sources.files.block import ByteRange
from elastic.stages.sources.files.file_type import SIGNATURE_BYTES, type_of
from elastic.stages.sources.files.listing import FileListing, FoundFile, is_url, path_strings
from elastic.stages.sources.files.opener import open_range
from elastic.stages.sources.files.remote import masked
from elastic.stages.sources.files.search import change_of, find_files, shown_paths
from elastic.stages.sources.tables.partition_columns import PartitionColumns
from elastic.stages.sources.tables.row_filter import Comparison, comparisons_of, row_filter
from elastic.stages.sources.tables.table_entries import check_names, pack_table, pyarrow_module, unpack_table
from elastic.stages.sources.tables.table_reader import TableReader
from elastic.stages.sources.tables.union import extend_table, union_of
from elastic.stages.sources.validation import distinct_names, one_of

_MAGIC = b"PAR1"


class RowGroup(NamedTuple):
    """Reference to a row group of a file; it travels as a plain tuple."""

    path: str
    number: int  #: Number of the row group in its file, from 0.
    first: int  #: Index of its first row in the file.
    size: int  #: Size of the file in bytes.
    version: int | str  #: As in `ByteRange`.

    @property
    def file(self) -> ByteRange:
        """The whole file."""
        return ByteRange(self.path, 0, self.size, self.size, self.version)


@dataclass(frozen=True, slots=True)
class TableSelection:
    """Selection of the columns and rows to read."""

    #: Names in the order of the entries.
    columns: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    #: Partition columns that the files do not contain.
    partitions: PartitionColumns = field(default_factory=PartitionColumns)
    #: Arrow schema of the rows of all files; None if all files have the same columns.
    schema: Any = None
    #: Partition columns that some files contain; the others have the values in the names of their folders.
    mixed: PartitionColumns = field(default_factory=PartitionColumns)
    #: Only the number of rows is needed.
    only_counted: bool = False

    @property
    def stored(self) -> list[str]:
        """Columns to read from a file: those of the entries, and those to compare."""
        needed = dict.fromkeys([*self.columns, *(one.column for one in self.comparisons)])
        return [name for name in needed if name not in self.partitions.names]

    def is_stored(self, column: str, schema: Any) -> bool:
        """Return whether a file of a schema has a column itself, with the type that the rows have."""
        if column in self.partitions.names:
            return False
        if self.schema is None:
            return True
        return column in schema.names and schema.field(column).type == self.schema.field(column).type

    def may_match(self, path: str) -> bool:
        """Return whether a row of a file may match, judged by the names of its folders."""
        comparisons = [one for one in self.comparisons if one.column in self.partitions.names]
        if not comparisons:
            return True
        values = self.partitions.table(path, 1)
        return bool(values.filter(row_filter(comparisons, values.schema, path)).num_rows)


class ParquetReader(TableReader):
    """Reader of row groups; a reference is a `RowGroup`.

    Args:
        selection: Columns and rows to read.
        remotes: fsspec file systems, by protocol.
        by_value_if_unseen: The master sends the bytes of a local file to nodes that do not see the file.
    """

    def __init__(self, selection: TableSelection, remotes: Mapping[str, Any], *, by_value_if_unseen: bool) -> None:
        super().__init__()
        self._selection, self._remotes, self._by_value_if_unseen = selection, dict(remotes), by_value_if_unseen
        #: Footer of the last file, because a footer may be larger than a row group.
        self._footer: tuple[ByteRange, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_footer": None}

    def read_block(self, reference: Reference) -> bytes:
        """Return the selected rows and columns of a row group as a table."""
        group = RowGroup(*reference)
        part, known = group.file, self._footer
        with open_range(part, self._remotes) as file:
            footer = known[1] if known is not None and known[0] == part else None
            stored = open_parquet(file, group.path, footer)
            self._footer = (part, stored.metadata)
            return pack_table(self._selected(stored, group))

    def parse(self, reference: Reference, block: bytes) -> Collection[Any]:
        # Dicts would take most of the time of a count.
        return range(unpack_table(block).num_rows) if self._selection.only_counted else super().parse(reference, block)

    def locate(self, reference: Reference, index: int) -> str:
        group = RowGroup(*reference)
        if self._selection.comparisons:
            return f"selected row {index} of row group {group.number} of {group.path!r}"
        return f"row {group.first + index} of {group.path!r}"

    def probes(self, reference: Reference) -> str | None:
        path: str = reference[0]
        return path if self._by_value_if_unseen and not is_url(path) else None

    def _selected(self, stored: Any, group: RowGroup) -> Any:
        pa, selection = pyarrow_module(), self._selection
        try:
            own = stored.schema_arrow.names if selection.schema is not None else selection.stored
            wanted = [name for name in selection.stored if name in own]
            table = stored.read_row_group(group.number, columns=wanted, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise _damaged_error(group.path, f"its row group {group.number} cannot be read", error) from error
        rows = stored.metadata.row_group(group.number).num_rows
        if selection.schema is not None:
            table = extend_table(table, selection.schema, selection.stored, rows)
            missing = [name for name in selection.mixed.names if name in selection.stored and name not in own]
            for name, value in zip(missing, selection.mixed.only(missing).table(group.path, rows).columns, strict=True):
                kind = selection.schema.field(name)
                table = table.set_column(table.column_names.index(name), kind, value.cast(kind.type))
        if selection.partitions.names:
            values = selection.partitions.table(group.path, rows)
            columns = [*table.columns, *values.columns]
            table = pa.table(columns, schema=selection.partitions.extended(table.schema))
        expression = row_filter(selection.comparisons, table.schema, group.path)
        found = table if expression is None else table.filter(expression)
        if selection.only_counted:
            # The bytes of a table without columns do not have its number of rows.
            return pa.table({"row": pa.nulls(found.num_rows)})
        return found.select(list(selection.columns))


class ParquetSource(Source):
    """Rows of Parquet files; each entry is a dict from column name to value, or a chunk is a frame.

    A row group is a chunk, and the workers read it. The master reads the footer of each file, right before it cuts the
    file. By their statistics, it skips the row groups in which no row can match `where`. Files must not change until
    the run has ended.

    Args:
        paths: As for `FileSource`.
        columns: Names of the columns to read, in this order; None for those of the first file.
        where: Conditions for rows, all of which must hold: a list of `(column, operator, value)`. The operators are
            `==`, `!=`, `<`, `<=`, `>`, `>=`, `in` and `not in`. Null fulfils `== None` only.
        hive_partitioning: Folders `key=value/` below the given paths are columns, unless the files contain these.
            Their values are integers, dates, booleans or strings. Conditions on them skip whole files.
        union_by_name: The columns of files may differ: rows have those of all files, and null where their file has
            none. The master reads the footers of all files first.
        ship: As for `FileSource`.
        storage_options: Parameters of the remote file system; not stored in the run's manifest.

    Raises:
        UsageError: A parameter is invalid, or pyarrow is not installed.
    """

    def __init__(  # noqa: PLR0913 - the arguments of `read_parquet`
        self,
        paths: "str | os.PathLike[str] | Iterable[str | os.PathLike[str]]",
        *,
        columns: Sequence[str] | None = None,
        where: Any = None,
        hive_partitioning: bool = True,
        union_by_name: bool = False,
        ship: str = "auto",
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        pyarrow_module(".parquet")
        self._paths = path_strings(paths)
        self._columns = None if columns is None else distinct_names("columns", columns)
        self._comparisons = comparisons_of(where)
        self._hive_partitioning, self._union_by_name = bool(hive_partitioning), bool(union_by_name)
        #: Mark of the last listing whose footers were all read, and the schema of the rows of its files.
        self._known_union: tuple[Any, Any] | None = None
        self._ship = one_of("ship", ship, ("auto", "reference", "value"))
        self._options = dict(storage_options or {})
        self._listing: FileListing | None = None
        self._only_counted = False

    def cut(self, position: Position | None = None) -> Iterator[SourcePiece]:
        """Yield pieces; a position is `(index of the file, row group, mark of the listing)`.

        Raises:
            SourceNotFoundError: A path names nothing.
            SourceError: A file is not Parquet, is damaged, or has other columns than the first.
            SourceChangedError: The files have changed since `position` was recorded.
        """
        self._listing = listing = find_files(self._paths, self._options)
        which, number, expected = position or (0, 0, listing.mark)
        if tuple(expected) != listing.mark:
            raise SourceChangedError(shown_paths(self._paths), change_of(tuple(expected), listing.mark))
        read_on_master = self._ship == "value" or (self._ship == "auto" and "memory" in listing.remotes)
        return self._pieces(listing, which, number, self.reader() if read_on_master else None)

    def reader(self) -> ParquetReader:
        """Return the reader; read the footer of the first file.

        Raises:
            SourceError: As `cut` does.
            UsageError: A column of `columns` or `where` does not exist, or a value has another type than its column.
        """
        listing = self._listing or find_files(self._paths, self._options)
        selection = self._selection(listing)
        if self._only_counted and self._comparisons:
            selection = replace(selection, columns=(), only_counted=True)
        return ParquetReader(selection, listing.remotes, by_value_if_unseen=self._ship == "auto")

    def reading(self) -> str:
        return "the workers, by row group"

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "parquet",
            "paths": [masked(path) for path in self._paths],
            "columns": None if self._columns is None else list(self._columns),
            "where": [[one.column, one.operator, repr(one.value)] for one in self._comparisons],
            "hive_partitioning": self._hive_partitioning,
            **({"union_by_name": True} if self._union_by_name else {}),
        }

    def counted_entries(self) -> int | None:
        """Return the number of rows in the footers; None with conditions."""
        if self._comparisons:
            return None
        listing = find_files(self._paths, self._options)
        selection, rows = self._selection(listing), 0
        for file in listing.files:
            with open_range(_whole(file), listing.remotes) as stored:
                parquet = open_parquet(stored, file.path)
                self._check_columns(file, parquet.schema_arrow, selection)
                rows += parquet.metadata.num_rows
        return rows

    def counting(self) -> Source:
        """Return a source that reads the columns of the conditions, and whose entries are numbers of rows."""
        found = copy(self)
        found._only_counted = True
        return found

    def _selection(self, listing: FileListing) -> TableSelection:
        if not listing.files:
            return TableSelection(self._columns or (), self._comparisons)
        file, union = listing.files[0], None
        if self._union_by_name:
            schema = union = self._union(listing)
        else:
            schema = _schema_in(file, listing)
        partitions = PartitionColumns.of(self._paths, listing.files) if self._hive_partitioning else PartitionColumns()
        mixed = partitions.only(schema.names) if self._union_by_name else PartitionColumns()
        if union is not None and mixed.names:
            schema = union = union_of({"the files": union, "the folders": mixed.extended(pyarrow_module().schema([]))})
        partitions = partitions.without(schema.names)
        names = self._check_schema(file, partitions.extended(schema))
        return TableSelection(self._columns or names, self._comparisons, partitions, union, mixed)

    def _union(self, listing: FileListing) -> Any:
        """Return the schema of the rows of all files."""
        if self._known_union is None or self._known_union[0] != listing.mark:
            schemas = {file.path: _schema_in(file, listing) for file in listing.files}
            for path, schema in schemas.items():
                check_names(schema.names, repr(path))
            needed = None if self._columns is None else {*self._columns, *(one.column for one in self._comparisons)}
            self._known_union = (listing.mark, union_of(schemas, needed))
        return self._known_union[1]

    def _check_schema(self, file: FoundFile, schema: Any) -> tuple[str, ...]:
        """Return the columns of a file and of its folders."""
        names = tuple(schema.names)
        check_names(names, repr(file.path))
        for name in self._columns or ():
            if name not in names:
                hint = did_you_mean(name, names, f"its columns are {', '.join(names)}.")
                raise UsageError(f"{file.path!r} has no column {name!r}; {hint}")
        row_filter(self._comparisons, schema, file.path)
        return names

    def _pieces(
        self, listing: FileListing, which: int, number: int, by_value: ParquetReader | None
    ) -> Iterator[SourcePiece]:
        selection = self._selection(listing)
        for index in range(which, len(listing.files)):
            file = listing.files[index]
            if not selection.may_match(file.path):
                continue
            with open_range(_whole(file), listing.remotes) as stored:
                groups = self._groups(file, stored, selection)
            for group in groups:
                if group.number >= number:
                    block = by_value.read_block(group) if by_value is not None else None
                    yield SourcePiece((index, group.number, listing.mark), tuple(group), None, block)
            number = 0

    def _check_columns(self, file: FoundFile, schema: Any, selection: TableSelection) -> None:
        """Check that a file has the selected columns."""
        if selection.schema is not None:
            return
        both = next((name for name in selection.partitions.names if name in schema.names), None)
        if both is not None:
            raise SourceError(
                f"{file.path!r} has the column {both!r}, which the first file has only in the name of its folder; pass "
                "union_by_name=True."
            )
        names = self._check_schema(file, selection.partitions.extended(schema))
        if self._columns is None and set(names) != set(selection.columns):
            raise SourceError(
                f"{file.path!r} has the columns {', '.join(names)} where the first file has "
                f"{', '.join(sorted(selection.columns))}; pass union_by_name=True for rows with the columns of all "
                "files, or columns=, or read such files by flows of their own."
            )

    def _groups(self, file: FoundFile, stored: BinaryIO, selection: TableSelection) -> list[RowGroup]:
        """Return the row groups of a file in which a row may match."""
        parquet = open_parquet(stored, file.path)
        schema, footer = parquet.schema_arrow, parquet.metadata
        self._check_columns(file, schema, selection)
        chosen = set(range(footer.num_row_groups))
        in_file = [one for one in self._comparisons if selection.is_stored(one.column, schema)]
        expression = row_filter(in_file, schema, file.path, only_skipping=True)
        if expression is not None:
            fragment = pyarrow_module(".dataset").ParquetFileFormat().make_fragment(stored)
            parts = fragment.split_by_row_group(filter=expression, schema=schema)
            chosen = {group.id for part in parts for group in part.row_groups}
        found, row = [], 0
        for number in range(footer.num_row_groups):
            rows = footer.row_group(number).num_rows
            if rows and number in chosen:
                found.append(RowGroup(file.path, number, row, file.size, file.version))
            row += rows
        return found


def open_parquet(file: BinaryIO, path: str, footer: Any = None) -> Any:
    """Open a Parquet file.

    Args:
        file: The open file.
        path: Its path, for messages.
        footer: The metadata in its footer, if it was read before.

    Raises:
        SourceError: It is not a Parquet file, or it is truncated or damaged; the message says what it is.
    """
    pa = pyarrow_module()
    try:
        return pyarrow_module(".parquet").ParquetFile(file, metadata=footer, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        file.seek(0)
        head = file.read(SIGNATURE_BYTES)
        if head.startswith(_MAGIC):
            raise _damaged_error(path, "it is a Parquet file that is truncated or damaged", error) from error
        what = type_of(head) or ("an empty file" if not head else "not a Parquet file")
        raise SourceError(
            f"{path!r} is {what} and cannot be read as Parquet; leave it out of the paths, or read it by another "
            "function."
        ) from error


def _damaged_error(path: str, what: str, error: Exception) -> SourceError:
    reason = str(error).partition("\n")[0].rstrip(".")
    return SourceError(f"{path!r} cannot be read, because {what} ({reason}); get the file again.")


def _schema_in(file: FoundFile, listing: FileListing) -> Any:
    with open_range(_whole(file), listing.remotes) as stored:
        return open_parquet(stored, file.path).schema_arrow


def _whole(file: FoundFile) -> ByteRange:
    return ByteRange(file.path, 0, file.size, file.size, file.version)
