"""An output that is a folder: a file for each shard, and a manifest that names them."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from elastic.core.contracts.sink import MANIFEST, MARKER, OutputFile, Sink
from elastic.core.errors import EncodingError, StoreError, UsageError
from elastic.persistence.durable_file import create_file, make_folder, store_error, sync_file, sync_folder, write_at
from elastic.persistence.result_files.row_writers import FORMATS, RowFile
from elastic.persistence.result_files.spill_files import FileDepot


class FolderOutput(Sink):
    """Files named `part-00000.parquet` and so on, of the format that the folder is named after.

    They get these names when all shards are written, and the manifest comes last; it is gone while they change. A
    folder belongs to the step whose marker or manifest is in it, and of its masters to the one with the last epoch.

    Args:
        folder: A path that ends in `.jsonl`, `.parquet` or `.arrow`.
        epoch: Of the master whose workers write.
        owner: The run, and the number of the step.
    """

    def __init__(self, folder: Path, epoch: int, owner: tuple[str, int]) -> None:
        self.folder, self.owner = folder, owner
        self._depot = FileDepot(folder, epoch)

    def prepare(self) -> None:
        """Make the folder and take it, before anybody is sent here.

        Raises:
            UsageError: Something else lies there.
            StoreError: It cannot be made, or a later master has it.
        """
        try:
            make_folder(self.folder)
            is_new = self._take()
        except OSError as error:
            raise StoreError(f"write_to={str(self.folder)!r} cannot be used ({error.strerror}).") from error
        self._depot.prepare()
        if not is_new:
            self._depot.write(MARKER, _text(self._mine()))

    @property
    def writable(self) -> bool:
        return self._depot.writable

    @contextmanager
    def open(self) -> Iterator[RowFile]:
        with self._depot.create("result") as growing:
            file = FORMATS[self.folder.suffix](growing)
            try:
                yield file
                file.finish()
            except BaseException:
                file.discard()
                raise

    def publish(self, parts: Sequence[OutputFile], about: dict[str, Any]) -> None:
        """Give the files the names that they keep, remove others of an earlier master, and write the manifest.

        Args:
            parts: The file of each shard.
            about: What else the manifest says.

        Raises:
            EncodingError: The columns of one file are not those of another.
            StoreError: It does not reach the disk, a file is gone, or the folder belongs to another master by now.
        """
        names = [f"part-{number:05}{self.folder.suffix}" for number in range(len(parts))]
        written = [(part, name) for part, name in zip(parts, names, strict=True) if part.rows]
        try:
            self._check_taken(parts)
            self._check_parts(parts)
            (self.folder / MANIFEST).unlink(missing_ok=True)
            sync_folder(self.folder)
            for path in list(self.folder.glob(f"part-*{self.folder.suffix}")):
                path.unlink()
            for part, name in written:
                (self.folder / part.name).replace(self.folder / name)
            sync_folder(self.folder)
        except OSError as error:
            raise store_error(error, self.folder) from error
        told = {
            **self._mine(),
            **about,
            "columns": next((part.columns for part in parts if part.columns), None),
            "files": [
                {"file": name, "rows": part.rows, "bytes": part.size, "sha256": part.sha256} for part, name in written
            ],
        }
        self._depot.write(MANIFEST, _text(told))
        self.close()

    def close(self) -> None:
        """Remove what is unfinished, so that others may have a folder that is empty then; may be called twice."""
        with suppress(OSError):
            if self._told(MARKER) != self._mine():
                return
            self._depot.clean(set())
            self._depot.unmark()
            is_whole = (self.folder / MANIFEST).exists()
            if is_whole or not any(self.folder.glob(f"part-*{self.folder.suffix}")):
                (self.folder / MARKER).unlink(missing_ok=True)

    def _take(self) -> bool:
        """Mark the folder; False where an earlier master of this step has done so. Raises as `prepare` does."""
        marker = self._told(MARKER)
        if marker is None:
            self._check_rest()
            with suppress(FileExistsError):
                self._mark(create_file(self.folder / MARKER))
                return True
            marker = self._told(MARKER)
        self._check_marker(marker or {})
        return False

    def _mark(self, file: int) -> None:
        try:
            try:
                write_at(file, _text(self._mine()), 0)
                sync_file(file)
            finally:
                os.close(file)
            sync_folder(self.folder)
            # Another run may have had the folder, and ended, since the first look.
            self._check_rest()
        except BaseException:
            (self.folder / MARKER).unlink()
            raise

    def _check_rest(self) -> None:
        """Refuse a folder in which there is more than what this step has written."""
        manifest = self._told(MANIFEST)
        if manifest is not None and self._is_mine(manifest):
            self._check_epoch(manifest)
        elif manifest is not None and "run_id" in manifest:
            raise UsageError(
                f"write_to={str(self.folder)!r} is not empty, it holds what run {manifest['run_id']} has written; name "
                "a folder that is not there yet, or move this one away."
            )
        elif any(path.name != MARKER for path in self.folder.iterdir()):
            raise UsageError(f"write_to={str(self.folder)!r} is not empty; name a folder that is not there yet.")

    def _check_marker(self, marker: dict[str, Any]) -> None:
        if not marker:
            raise UsageError(
                f"write_to={str(self.folder)!r} is marked by a run that {MARKER} does not name; name a folder that is "
                "not there yet, or remove this one."
            )
        if not self._is_mine(marker):
            raise UsageError(
                f"write_to={str(self.folder)!r} is where run {marker['run_id']} writes, which is not complete; resume "
                f"that by `elastic resume {marker['run_id']}`, remove the folder, or name another one."
            )
        self._check_epoch(marker)

    def _check_epoch(self, told: dict[str, Any]) -> None:
        if told["epoch"] > self._depot.epoch:
            raise StoreError(
                f"{self.folder} belongs to a later master of run {self.owner[0]} (epoch {told['epoch']}, this one has "
                f"{self._depot.epoch}); let that one go on."
            )

    def _check_taken(self, parts: Sequence[OutputFile]) -> None:
        """Refuse to touch a folder that somebody else has taken since, and leave nothing of this master in it."""
        marker, manifest = self._told(MARKER), self._told(MANIFEST)
        try:
            for told in (marker, manifest):
                if told is not None and self._is_mine(told):
                    self._check_epoch(told)
            if marker is None or not self._is_mine(marker):
                raise StoreError(
                    f"{self.folder} is not marked as the folder of run {self.owner[0]} any more; move away what is "
                    "there, and resume the run."
                )
        except StoreError:
            for part in parts:
                (self.folder / part.name).unlink(missing_ok=True)
            raise

    def _check_parts(self, parts: Sequence[OutputFile]) -> None:
        """Find out that parts do not fit together before anything is removed that is whole."""
        try:
            _check_columns(parts)
            for part in parts:
                path = self.folder / part.name
                if not path.is_file() or path.stat().st_size != part.size:
                    raise StoreError(f"{path} is gone or not as it was written; resume the run, which writes it again.")
        except (EncodingError, StoreError):
            self.close()
            raise

    def _mine(self) -> dict[str, Any]:
        run_id, step = self.owner
        return {"run_id": run_id, "step": step, "epoch": self._depot.epoch}

    def _is_mine(self, told: dict[str, Any]) -> bool:
        return (told.get("run_id"), told.get("step")) == self.owner

    def _told(self, name: str) -> dict[str, Any] | None:
        """Return what the marker or the manifest says; None where it is not there, nothing if it says nothing."""
        try:
            told = json.loads((self.folder / name).read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            return {}
        is_whole = isinstance(told, dict) and isinstance(told.get("run_id"), str) and type(told.get("epoch")) is int
        return told if is_whole else {}


def _text(told: dict[str, Any]) -> bytes:
    return json.dumps(told, indent=2).encode() + b"\n"


def _check_columns(parts: Sequence[OutputFile]) -> None:
    found = {part.columns: number for number, part in enumerate(parts) if part.rows}
    if len(found) > 1:
        (one, first), (other, second), *_ = found.items()
        raise EncodingError(
            f"shard {first} has the columns {one}, and shard {second} has {other}; give each column one type, "
            "or write to a folder named *.jsonl."
        )
