"""Readers: one function for each kind of source, each of which begins a flow."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from elastic.core.contracts.source import Source
from elastic.core.errors import UsageError
from elastic.core.suggest import did_you_mean
from elastic.flow.flow import Flow
from elastic.stages.sources import (
    CsvColumns,
    CsvRecordFormat,
    FileContents,
    FileSource,
    IterableSource,
    IterablesSource,
    JsonArrayFormat,
    JsonLinesRecordFormat,
    ParquetSource,
    PartitionedSqlSource,
    RangeSource,
    RecordFormat,
    SqlSource,
    TableSource,
    TextLines,
    Window,
    table_of_arrow,
    table_of_pandas,
    table_of_polars,
)

if TYPE_CHECKING:
    import pandas
    import polars
    from sqlalchemy import URL, Executable

#: Conditions for rows: `(column, operator, value)`, or a list of these.
Where = tuple[str, str, Any] | Sequence[tuple[str, str, Any]]

#: One or several files, globs, folders or URLs.
Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


class FileOptions(TypedDict, total=False):
    """Keyword arguments for the decoding, cutting and shipping of files."""

    encoding: str
    errors: str
    chunk_bytes: int
    one_file_per_chunk: bool
    ship: str
    storage_options: Mapping[str, Any]


class TabularOptions(FileOptions, total=False):
    """Keyword arguments for files whose records have columns."""

    hive_partitioning: bool


class CsvOptions(TabularOptions, total=False):
    """Keyword arguments of `read_csv`, besides those that name the parts of a row."""

    escapechar: str
    comment: str
    skip_rows: int
    union_by_name: bool
    columns: Sequence[str]
    types: Mapping[str, Callable[[str], Any]]


def read_text(paths: Paths, **files: Unpack[FileOptions]) -> Flow:
    r"""Return a flow over the lines of text files, without line ends (`\n` or `\r\n`).

    Args:
        paths: One or several files, globs, folders or URLs; gzip, bz2, xz and zstd files are decompressed.
        files: `encoding` of the files, UTF-8 by default; the master reads files in UTF-16, UTF-32 and other encodings
            that are not compatible with ASCII. `errors`: `strict` raises on invalid bytes, `replace` turns them into
            U+FFFD. `chunk_bytes`: bytes per chunk. `one_file_per_chunk`. `ship` selects the reader: `reference` the
            workers, `value` the master, `auto` the workers that see the files. `storage_options` of a remote file
            system.

    Raises:
        UsageError: An argument is invalid. Missing files raise an error when the flow runs.
    """
    return _of_files(paths, TextLines, files)


def read_jsonl(paths: Paths, **files: Unpack[TabularOptions]) -> Flow:
    """Return a flow over the values of JSON lines files; empty lines are skipped.

    Args:
        paths: As for `read_text`.
        files: `hive_partitioning`: as for `read_parquet`; in folders `key=value/`, a value that is not an object is a
            failed record. Others as for `read_text`.

    Raises:
        UsageError: An argument is invalid.
    """
    return _of_files(paths, JsonLinesRecordFormat, files, TabularOptions.__annotations__)


def read_json(
    paths: Paths,
    *,
    encoding: str = "utf-8",
    errors: str = "strict",
    ship: str = "auto",
    storage_options: Mapping[str, Any] | None = None,
) -> Flow:
    """Return a flow over the elements of JSON arrays, one array per file.

    Each file is one chunk and is in memory as a whole; write large data as JSON lines. For arguments see `read_text`.

    Raises:
        UsageError: An argument is invalid. A file that is not an array raises an error when the flow runs.
    """
    form = JsonArrayFormat(encoding=encoding, errors=errors)
    return Flow(FileSource(paths, form, ship=ship, storage_options=storage_options))


def read_files(paths: Paths, *, ship: str = "auto", storage_options: Mapping[str, Any] | None = None) -> Flow:
    """Return a flow over whole files, each a dict of its `path` and its `bytes`.

    The bytes are those of the stored file: nothing is decompressed or decoded. Each file is one chunk. For arguments
    see `read_text`.

    Raises:
        UsageError: An argument is invalid.
    """
    return Flow(FileSource(paths, FileContents(), ship=ship, storage_options=storage_options))


def read_csv(
    paths: Paths,
    *,
    fields: Sequence[str] | None = None,
    delimiter: str = ",",
    quotechar: str | None = '"',
    newlines_in_values: bool = False,
    **options: Unpack[CsvOptions],
) -> Flow:
    """Return a flow over the rows of CSV files, each a dict from column name to string, or to a value of `types`.

    Args:
        paths: As for `read_text`.
        fields: Names of the columns, for files without a header; None if the first row of each file has them.
        delimiter: One character.
        quotechar: One character; None if no values are quoted.
        newlines_in_values: True if quoted values may contain line ends; then the master reads the files one by one.
        options: `escapechar`: a character that removes the meaning of the next one. `comment`: lines that begin with
            this string are skipped. `skip_rows`: number of lines to skip in each file, before its header. `columns`:
            names of the columns to read. `types`: a dict from column name to `int`, `float`, `bool`, `Decimal`, `date`,
            `datetime`, `time`, `UUID` or a function of the string; for types, an empty value becomes None, and a value
            that cannot be converted is a failed record. `hive_partitioning`: as for `read_parquet`; `columns` and
            `types` may name these columns. `union_by_name`: files may have different headers; a row has the columns of
            all files, and None for those that its file does not have. Others as for `read_text`.

    Raises:
        UsageError: An argument is invalid.
    """
    if isinstance(fields, str) or not isinstance(fields, Iterable | None):
        raise UsageError(f"fields={fields!r} must be a list of names, or left out.")
    given: dict[str, Any] = dict(options)
    rows = partial(
        CsvRecordFormat,
        fields=None if fields is None else tuple(fields),
        delimiter=delimiter,
        quotechar=quotechar,
        newlines_in_values=newlines_in_values,
        selection=CsvColumns.of(given.pop("columns", None), given.pop("types", None)),
        **{name: given.pop(name) for name in ("escapechar", "comment", "skip_rows", "union_by_name") if name in given},
    )
    return _of_files(paths, rows, given, CsvOptions.__annotations__)


def read_parquet(  # noqa: PLR0913 - keyword arguments
    paths: Paths,
    columns: Sequence[str] | None = None,
    where: Where | None = None,
    *,
    hive_partitioning: bool = True,
    union_by_name: bool = False,
    ship: str = "auto",
    storage_options: Mapping[str, Any] | None = None,
) -> Flow:
    """Return a flow over the rows of Parquet files, each a dict from column name to value.

    Each row group is a chunk. Functions and aggregators of frames get it as a frame. Needs the extra `arrow`.

    Args:
        paths: One or several files, globs, folders or URLs.
        columns: Names of the columns to read; None for all.
        where: Conditions for rows, such as `[("country", "in", ["DE", "FR"]), ("price", ">", 5)]`; all must hold. The
            operators are `==`, `!=`, `<`, `<=`, `>`, `>=`, `in` and `not in`. A null fulfils only `== None`. Row groups
            without such rows are skipped by their statistics.
        hive_partitioning: Make columns of the names of folders `key=value/` below a given folder or wildcard, unless
            the files contain these columns. A column has integers, dates or booleans if all its values have this form,
            and strings otherwise. Conditions on it skip whole files.
        union_by_name: Files may have different columns; a row has the columns of all files, and None for those that its
            file does not have. Without it, all files must have the columns of the first one, or those in `columns`.
        ship: As for `read_text`.
        storage_options: Parameters of a remote file system.

    Raises:
        UsageError: An argument is invalid, or pyarrow is not installed. Missing files and columns raise an error when
            the flow runs.
    """
    return Flow(
        ParquetSource(
            paths,
            columns=columns,
            where=where,
            hive_partitioning=hive_partitioning,
            union_by_name=union_by_name,
            ship=ship,
            storage_options=storage_options,
        )
    )


def from_pandas(frame: "pandas.DataFrame", *, chunk_size: int = 50_000) -> Flow:
    """Return a flow over the rows of a pandas frame, each a dict from column name to value; see `from_arrow`.

    The index is left out; `frame.reset_index()` makes it a column. Missing values and NaN become None.
    """
    return Flow(TableSource(table_of_pandas(frame), chunk_size=chunk_size))


def from_polars(frame: "polars.DataFrame | polars.LazyFrame", *, chunk_size: int = 50_000) -> Flow:
    """Return a flow over the rows of a Polars frame, each a dict from column name to value; see `from_arrow`."""
    return Flow(TableSource(table_of_polars(frame), chunk_size=chunk_size))


def from_arrow(table: Any, *, chunk_size: int = 50_000) -> Flow:
    """Return a flow over the rows of an Arrow table, each a dict from column name to value.

    Functions and aggregators of frames get the chunks as frames. Needs the extra `arrow`.

    Args:
        table: A table, a batch, or another object with Arrow's stream interface. The master sends its rows by value.
        chunk_size: Rows per chunk.

    Raises:
        UsageError: The table cannot be read, has two columns of one name, or a package is not installed.
    """
    return Flow(TableSource(table_of_arrow(table), chunk_size=chunk_size))


def from_range(start: int, stop: int | None = None, step: int = 1, *, chunk_size: int = 100_000) -> Flow:
    """Return a flow over the integers of `range(start, stop, step)`, or of `range(start)`."""
    first, end = (0, start) if stop is None else (start, stop)
    return Flow(RangeSource(first, end, step, chunk_size=chunk_size))


def from_iterable(iterable: Iterable[Any], *, chunk_size: int = 3000, window: Window | None = None) -> Flow:
    """Return a flow over the elements of a list, a generator, an open file or another iterable.

    Args:
        iterable: The master reads it once, and never ahead of the chunks that it can send.
        chunk_size: Entries per chunk.
        window: Function from a chunk's number, counted from 0, to its maximum number of entries.
    """
    return Flow(IterableSource(iterable, chunk_size=chunk_size, window=window))


def from_iterables(iterables: Iterable[Iterable[Any]], *, chunk_size: int = 3000, window: Window | None = None) -> Flow:
    """Return a flow over the elements of several iterables, one after another; see `from_iterable`."""
    return Flow(IterablesSource(iterables, chunk_size=chunk_size, window=window))


def read_sql(
    query: "str | Executable",
    url: "str | URL",
    *,
    parameters: Mapping[str, Any] | None = None,
    chunk_size: int | None = None,
    partition_on: str | None = None,
    partitions: int | None = None,
) -> Flow:
    """Return a flow over the rows of a query, each a dict from column name to value.

    The master reads the rows, unless `partition_on` and `partitions` divide them into ranges that the workers read.

    Args:
        query: SQL text with `:name` for parameters, or a SQLAlchemy statement.
        url: SQLAlchemy URL of the database.
        parameters: Values of the query's parameters.
        chunk_size: Rows per chunk, 3000 by default; not with `partition_on`.
        partition_on: Column of the result with numbers or times, best an indexed one. The rows of a range come in no
            particular order, and must not change until the run has ended.
        partitions: Number of ranges, each a chunk. Rows without a value are in the first range.

    Raises:
        UsageError: An argument is invalid.
    """
    if partition_on is not None or partitions is not None:
        if partition_on is None or partitions is None or chunk_size is not None:
            raise UsageError("read_sql takes partition_on= and partitions= together, and then no chunk_size=.")
        ranges = PartitionedSqlSource(query, url, column=partition_on, partitions=partitions, parameters=parameters)
        return Flow(ranges)
    chunk_size = 3000 if chunk_size is None else chunk_size
    return Flow(SqlSource(query, url, chunk_size=chunk_size, parameters=parameters))


def from_source(source: Source) -> Flow:
    """Return a flow over a user-defined source."""
    return Flow(source)


def _of_files(
    paths: Paths,
    form: Callable[..., RecordFormat],
    files: Mapping[str, Any],
    known: Mapping[str, Any] = FileOptions.__annotations__,
) -> Flow:
    for name in files:
        if name not in known:
            hint = did_you_mean(name, known, f"there are {', '.join(known)}.")
            raise UsageError(f"there is no argument {name!r} for files; {hint}")
    given: dict[str, Any] = dict(files)
    of_format = {name: given.pop(name) for name in ("encoding", "errors", "hive_partitioning") if name in given}
    return Flow(FileSource(paths, form(**of_format), **given))
