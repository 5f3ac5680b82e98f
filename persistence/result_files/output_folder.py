"""Sink that writes a folder: one file for each shard, and a manifest that lists them."""

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
from elastic.persistence.result_files.spill_files import FileSpillStore


class FolderSink(Sink):
    """Sink of files `part-00000.parquet` and so on, in the format that the suffix of the folder gives.

    The files get these names when all shards are written. The manifest comes last, and is missing while names change.
    A folder belongs to the step in its marker or manifest, and to the step's master with the highest epoch.

    Args:
        folder: Path that ends in `.jsonl`, `.parquet` or `.arrow`.
        epoch: Epoch of the master whose workers write.
        owner: Id of the run, and number of the step.
    """

    def __init__(self, folder: Path, epoch: int, owner: tuple[str, int]) -> None:
        self.folder, self.owner = folder, owner
        self._spill_store = FileSpillStore(folder, epoch)

    def prepare(self) -> None:
        """Create the folder and claim it, before the master sends its path to workers.

        Raises:
            UsageError: The folder belongs to another run, or is not empty.
            StoreError: The folder cannot be created, or a later master has claimed it.
        """
        try:
            make_folder(self.folder)
            is_new = self._claim()
        except OSError as error:
            raise StoreError(
                f"write_to={str(self.folder)!r} cannot be used ({error.strerror}); name another folder."
            ) from error
        self._spill_store.prepare()
        if not is_new:
            self._spill_store.write(MARKER, _to_json(self._identity()))

    @property
    def writable(self) -> bool:
        return self._spill_store.writable

    @contextmanager
    def open(self) -> Iterator[RowFile]:
        with self._spill_store.create("result") as unfinished:
            file = FORMATS[self.folder.suffix](unfinished)
            try:
                yield file
                file.finish()
            except BaseException:
                file.discard()
                raise

    def publish(self, parts: Sequence[OutputFile], about: dict[str, Any]) -> None:
        """Give the files their final names, remove those of an earlier master, and write the manifest.

        Args:
            parts: The file of each shard.
            about: Further entries of the manifest.

        Raises:
            EncodingError: Two files have different columns.
            StoreError: The disk failed, a file is missing, or the folder belongs to a later master.
        """
        names = [f"part-{number:05}{self.folder.suffix}" for number in range(len(parts))]
        written = [(part, name) for part, name in zip(parts, names, strict=True) if part.rows]
        try:
            self._check_claim(parts)
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
        manifest = {
            **self._identity(),
            **about,
            "columns": next((part.columns for part in parts if part.columns), None),
            "files": [
                {"file": name, "rows": part.rows, "bytes": part.size, "sha256": part.sha256} for part, name in written
            ],
        }
        self._spill_store.write(MANIFEST, _to_json(manifest))
        self.close()

    def close(self) -> None:
        """Remove unfinished files, and the marker of a folder without results. A second call does nothing."""
        with suppress(OSError):
            if self._read(MARKER) != self._identity():
                return
            self._spill_store.clean(set())
            self._spill_store.unmark()
            is_whole = (self.folder / MANIFEST).exists()
            if is_whole or not any(self.folder.glob(f"part-*{self.folder.suffix}")):
                (self.folder / MARKER).unlink(missing_ok=True)

    def _claim(self) -> bool:
        """Mark the folder, and return False if an earlier master of this step marked it. Raise as `prepare` does."""
        marker = self._read(MARKER)
        if marker is None:
            self._check_content()
            with suppress(FileExistsError):
                self._mark(create_file(self.folder / MARKER))
                return True
            marker = self._read(MARKER)
        self._check_marker(marker or {})
        return False

    def _mark(self, file: int) -> None:
        try:
            try:
                write_at(file, _to_json(self._identity()), 0)
                sync_file(file)
            finally:
                os.close(file)
            sync_folder(self.folder)
            # After the first check, another run may have claimed the folder, and ended.
            self._check_content()
        except BaseException:
            (self.folder / MARKER).unlink()
            raise

    def _check_content(self) -> None:
        """Refuse a folder with files that this step did not write."""
        manifest = self._read(MANIFEST)
        if manifest is not None and self._is_mine(manifest):
            self._check_epoch(manifest)
        elif manifest is not None and "run_id" in manifest:
            raise UsageError(
                f"write_to={str(self.folder)!r} is not empty: run {manifest['run_id']} wrote it; name a folder "
                "that does not exist, or move this one away."
            )
        elif any(path.name != MARKER for path in self.folder.iterdir()):
            raise UsageError(f"write_to={str(self.folder)!r} is not empty; name a folder that does not exist.")

    def _check_marker(self, marker: dict[str, Any]) -> None:
        if not marker:
            raise UsageError(
                f"write_to={str(self.folder)!r} has a damaged {MARKER}, and its run is unknown; name a folder "
                "that does not exist, or remove this one."
            )
        if not self._is_mine(marker):
            raise UsageError(
                f"write_to={str(self.folder)!r} belongs to run {marker['run_id']}, which is not complete; resume it "
                f"with `elastic resume {marker['run_id']}`, remove the folder, or name another one."
            )
        self._check_epoch(marker)

    def _check_epoch(self, found: dict[str, Any]) -> None:
        if found["epoch"] > self._spill_store.epoch:
            raise StoreError(
                f"{self.folder} belongs to a later master of run {self.owner[0]} (epoch {found['epoch']}, this one has "
                f"{self._spill_store.epoch}); wait for that master."
            )

    def _check_claim(self, parts: Sequence[OutputFile]) -> None:
        """Refuse a folder that another master has claimed since, and remove the files of this one."""
        marker, manifest = self._read(MARKER), self._read(MANIFEST)
        try:
            for found in (marker, manifest):
                if found is not None and self._is_mine(found):
                    self._check_epoch(found)
            if marker is None or not self._is_mine(marker):
                raise StoreError(
                    f"{self.folder} is no longer marked as the folder of run {self.owner[0]}; move its files away, and "
                    "resume the run."
                )
        except StoreError:
            for part in parts:
                (self.folder / part.name).unlink(missing_ok=True)
            raise

    def _check_parts(self, parts: Sequence[OutputFile]) -> None:
        """Refuse parts that do not fit together, before any file of an earlier result is removed."""
        try:
            _check_columns(parts)
            for part in parts:
                path = self.folder / part.name
                if not path.is_file() or path.stat().st_size != part.size:
                    raise StoreError(f"{path} is missing or damaged; resume the run, which writes it again.")
        except (EncodingError, StoreError):
            self.close()
            raise

    def _identity(self) -> dict[str, Any]:
        run_id, step = self.owner
        return {"run_id": run_id, "step": step, "epoch": self._spill_store.epoch}

    def _is_mine(self, found: dict[str, Any]) -> bool:
        return (found.get("run_id"), found.get("step")) == self.owner

    def _read(self, name: str) -> dict[str, Any] | None:
        """Return the content of the marker or the manifest; None if the file is missing, {} if it is damaged."""
        try:
            found = json.loads((self.folder / name).read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            return {}
        is_whole = isinstance(found, dict) and isinstance(found.get("run_id"), str) and type(found.get("epoch")) is int
        return found if is_whole else {}


def _to_json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=2).encode() + b"\n"


def _check_columns(parts: Sequence[OutputFile]) -> None:
    found = {part.columns: number for number, part in enumerate(parts) if part.rows}
    if len(found) > 1:
        (one, first), (other, second), *_ = found.items()
        raise EncodingError(
            f"shard {first} has the columns {one}, and shard {second} has {other}; give each column one type, "
            "or write to a folder named *.jsonl."
        )
