"""An output that is a folder: a file for each shard, and a manifest that names them."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from elastic.core.errors import EncodingError, StoreError, UsageError
from elastic.core.output import Output, Part
from elastic.persistence.disk import store_error, sync_folder
from elastic.persistence.file_depot import FileDepot
from elastic.persistence.row_file import FORMATS, RowFile

#: Programs that read a folder of files leave out what begins so.
_MANIFEST = "_manifest.json"


class FolderOutput(Output):
    """Files named `part-00000.parquet` and so on, of the format that the folder is named after.

    They get these names when all shards are written, and the manifest comes last; it is gone while they change.

    Args:
        folder: A path that ends in `.jsonl`, `.parquet` or `.arrow`.
        epoch: Of the master whose workers write.
    """

    def __init__(self, folder: Path, epoch: int) -> None:
        self.folder = folder
        self._depot = FileDepot(folder, epoch)

    def prepare(self) -> None:
        """Make the folder, before anybody is sent here.

        Raises:
            UsageError: Something else lies there.
            StoreError: It cannot be made.
        """
        # A later master of the run finds what the earlier one has begun, or written.
        if self._depot.epoch == 1:
            self._check_empty()
        self._depot.prepare()

    @property
    def writable(self) -> bool:
        return self._depot.writable

    @contextmanager
    def open(self) -> Iterator[RowFile]:
        with self._depot.create("result") as growing:
            file = FORMATS[self.folder.suffix](growing)
            yield file
            file.finish()

    def publish(self, parts: Sequence[Part], about: dict[str, Any]) -> None:
        """Give the files the names that they keep, and write the manifest.

        Args:
            parts: The file of each shard.
            about: What else the manifest says.

        Raises:
            EncodingError: The columns of one file are not those of another.
            StoreError: It does not reach the disk.
        """
        names = [f"part-{number:05}{self.folder.suffix}" for number in range(len(parts))]
        _check_columns(parts)
        try:
            (self.folder / _MANIFEST).unlink(missing_ok=True)
            sync_folder(self.folder)
            for part, name in zip(parts, names, strict=True):
                if part.rows:
                    (self.folder / part.name).replace(self.folder / name)
                else:
                    (self.folder / name).unlink(missing_ok=True)
            sync_folder(self.folder)
        except OSError as error:
            raise store_error(error, self.folder) from error
        files = [
            {"file": name, "rows": part.rows, "bytes": part.size, "sha256": part.sha256}
            for part, name in zip(parts, names, strict=True)
            if part.rows
        ]
        told = {**about, "columns": next((part.columns for part in parts if part.columns), None), "files": files}
        self._depot.write(_MANIFEST, json.dumps(told, indent=2).encode() + b"\n")
        self._depot.clean(set())
        self._depot.unmark()

    def _check_empty(self) -> None:
        try:
            with suppress(FileNotFoundError):
                if any(self.folder.iterdir()):
                    raise UsageError(
                        f"write_to={str(self.folder)!r} is not empty; name a folder that is not there yet."
                    )
        except OSError as error:
            raise StoreError(f"write_to={str(self.folder)!r} cannot be used ({error.strerror}).") from error


def _check_columns(parts: Sequence[Part]) -> None:
    found = {part.columns: number for number, part in enumerate(parts) if part.rows}
    if len(found) > 1:
        (one, first), (other, second), *_ = found.items()
        raise EncodingError(
            f"shard {first} has the columns {one}, and shard {second} has {other}; map keys and values to one type "
            "each, or write to a folder named *.jsonl."
        )
