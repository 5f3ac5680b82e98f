"""Partition columns: those in the names of folders, `key=value/`, which Hive, Spark, DuckDB and Polars write too."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from elastic.core.contracts.sink import NULL_PARTITION
from elastic.core.errors import SourceError
from elastic.core.model.folder_column import FOLDER_TYPES, FolderColumn, value_of
from elastic.stages.sources.files.glob_pattern import is_wild, split_pattern
from elastic.stages.sources.files.listing import FoundFile, is_url, local_path
from elastic.stages.sources.files.remote import masked
from elastic.stages.sources.tables.table_entries import pyarrow_module


@dataclass(frozen=True, slots=True)
class PartitionColumns:
    """Columns in the names of the folders of all files of a source.

    The type of a column follows from all its values: 64-bit integers, dates or booleans if all have this form, strings
    otherwise.
    """

    #: Folders and patterns that the user gave; only folders below them count.
    bases: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    #: Names of Arrow types, one per column.
    types: tuple[str, ...] = ()

    @classmethod
    def of(cls, paths: Sequence[str], files: Sequence[FoundFile]) -> "PartitionColumns":
        """Return the columns of files.

        Args:
            paths: Files, folders, globs and URLs that the user gave.
            files: The files found there.

        Raises:
            SourceError: The folders of two files name different columns.
        """
        bases = tuple(map(_base, paths))
        folders = dict[str, str]()
        for file in files:
            folders.setdefault(_folder(file.path), file.path)
        texts = {path: _texts(folder, bases, path) for folder, path in folders.items()}
        first = next(iter(texts.values()), {})
        for path, named in texts.items():
            if list(named) != list(first):
                raise SourceError(
                    f"the folders of {masked(path)!r} name {_listed(named)}, and those of {masked(files[0].path)!r} "
                    f"name {_listed(first)}; read them by flows of their own, or pass hive_partitioning=False."
                )
        types = [_type_of({named[name] for named in texts.values()}) for name in first]
        return cls(bases, tuple(first), tuple(types))

    def without(self, names: Iterable[str]) -> "PartitionColumns":
        """Return the columns that a file does not contain itself."""
        own = set(names)
        return self.only(name for name in self.names if name not in own)

    def only(self, names: Iterable[str]) -> "PartitionColumns":
        """Return those of the columns that have one of these names, in the same order."""
        wanted = set(names)
        kept = [(name, kind) for name, kind in zip(self.names, self.types, strict=True) if name in wanted]
        return PartitionColumns(self.bases, tuple(name for name, _ in kept), tuple(kind for _, kind in kept))

    def extended(self, schema: Any) -> Any:
        """Return the Arrow schema of a file with these columns after its own."""
        for name, kind in zip(self.names, self.types, strict=True):
            schema = schema.append(pyarrow_module().field(name, _arrow_type(kind)))
        return schema

    def columns(self, path: str) -> tuple[FolderColumn, ...]:
        """Return these columns of a file."""
        if not self.names:
            return ()
        texts = _texts(_folder(path), self.bases, path)
        return tuple(FolderColumn(name, texts[name], kind) for name, kind in zip(self.names, self.types, strict=True))

    def table(self, path: str, rows: int) -> Any:
        """Return an Arrow table with these columns of a file."""
        pa = pyarrow_module()
        scalars = [pa.scalar(column.value, type=_arrow_type(column.kind)) for column in self.columns(path)]
        return pa.table([pa.repeat(scalar, rows) for scalar in scalars], names=list(self.names))


def _base(path: str) -> str:
    """Return the folder below which the folders of a path count, with `/` at its end; for a file that of the file."""
    path = _comparable(path if is_url(path) else local_path(path))
    return (split_pattern(path)[0] if is_wild(path) else path.rstrip("/")) + "/"


def _comparable(path: str) -> str:
    """Return a path or URL in the form in which a file's path begins with that of its folder."""
    protocol, separator, rest = path.partition("://")
    host, slash, inside = rest.lstrip("/").partition("/")
    return f"{protocol}://{host.rpartition('@')[2]}{slash}{inside}" if separator else path


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _texts(folder: str, bases: Sequence[str], path: str) -> dict[str, str | None]:
    """Return the values in the names of a file's folders, as text."""
    inside = f"{_comparable(folder)}/"
    # A file that the user named is in no folder below a path that the user named.
    lengths = [len(base) for base in bases if inside.startswith(base)]
    if not lengths:
        return {}
    found: dict[str, str | None] = {}
    for part in inside[min(lengths) :].split("/"):
        name, separator, value = part.partition("=")
        if not separator or not name:
            continue
        name = unquote(name)
        if name in found:
            raise SourceError(f"the folders of {masked(path)!r} name {name!r} twice; pass hive_partitioning=False.")
        found[name] = None if value == NULL_PARTITION else unquote(value)
    return found


def _listed(named: Iterable[str]) -> str:
    return ", ".join(named) or "no column"


def _type_of(texts: set[str | None]) -> str:
    values = texts - {None}
    kinds = (kind for kind in FOLDER_TYPES if values and all(value_of(text, kind) is not None for text in values))
    return next(kinds, "string")


def _arrow_type(kind: str) -> Any:
    return getattr(pyarrow_module(), "bool_" if kind == "bool" else kind)()
