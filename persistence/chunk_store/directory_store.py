"""A chunk store that a person can look into: one file for each chunk, named by its receipt."""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from elastic.core.contracts.store import ChunkStore, StoredChunk
from elastic.core.errors import CorruptStoreError, StoreError, StoreFullError, UsageError
from elastic.core.model.chunk import Chunk
from elastic.persistence.chunk_store.record_format import RecordHeader, check_owner, read_chunk, read_head, write_record
from elastic.persistence.chunk_store.step_folder import StepFolder
from elastic.persistence.disk_reserve import DiskReserve
from elastic.persistence.durable_file import create_file, open_file, store_error, sync_file, sync_folder, write_at

#: No dot and no slash, so that a token names a file in its folder and nothing else.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_UNFINISHED_FILE = ".new"


class DirectoryChunkStore(ChunkStore):
    """Keeps each chunk in `<run>/chunks/step-0000/<token>`, a file that appears whole or not at all.

    What lies there is exactly what is unfinished, in any process. It costs three syncs a chunk where
    `SegmentChunkStore` costs one a group, so it is for few and precious chunks. A file whose name cannot be
    a token was not put here and is passed over.
    """

    def __init__(
        self,
        run_folder: Path,
        run_id: str,
        step: int,
        *,
        read_only: bool = False,
        reserve: DiskReserve | None = None,
    ) -> None:
        self._reserve = reserve
        self._folder = StepFolder(run_folder, run_id, step, read_only=read_only)
        self._tokens: dict[int, str] | None = None

    def put(self, kept: Sequence[StoredChunk]) -> None:
        self._folder.check_usable(writing=True)
        tokens = self._index()
        fresh: dict[int, tuple[str, bytes]] = {}
        for one in kept:
            chunk_id = one.chunk.chunk_id
            if chunk_id not in tokens and chunk_id not in fresh:
                record = write_record(self._folder.run_id, self._folder.step, one)
                fresh[chunk_id] = (_checked(one.token), record)
        names = {token for token, _ in fresh.values()}
        if len(names) < len(fresh) or not names.isdisjoint(tokens.values()):
            raise UsageError(f"two chunks of run {self._folder.run_id} have the same token; each needs its own.")
        if fresh:
            try:
                self._write(dict(fresh.values()))
            except StoreFullError:
                if self._reserve is not None:
                    self._reserve.release()
                raise
            if self._reserve is not None:
                self._reserve.acquire()
            tokens.update((chunk_id, token) for chunk_id, (token, _) in fresh.items())

    def get(self, chunk_id: int) -> Chunk:
        self._folder.check_usable(writing=False)
        token = self._index().get(chunk_id)
        if token is None:
            raise LookupError(f"chunk {chunk_id} is not kept in {self._folder.path}")
        try:
            with self._opened(token) as (file, head):
                if head.kept.chunk.chunk_id != chunk_id:
                    raise CorruptStoreError(f"it holds {head.kept.chunk}, not chunk {chunk_id}")
                return read_chunk(file, head)
        except FileNotFoundError as error:
            raise CorruptStoreError(f"{self._folder.path / token}, which held chunk {chunk_id}, is gone.") from error

    def delete(self, chunk_ids: Iterable[int]) -> None:
        self._folder.check_usable(writing=True)
        tokens = self._index()
        for chunk_id in chunk_ids:
            token = tokens.get(chunk_id)
            if token is not None:
                self._folder.remove_file(token)
                del tokens[chunk_id]

    def unfinished(self) -> Iterator[int]:
        self._folder.check_usable(writing=False)
        return iter(sorted(self._index()))

    def clean(self) -> None:
        self._folder.check_usable(writing=True)
        for name in self._folder.names():
            if _TOKEN.fullmatch(name.removesuffix(_UNFINISHED_FILE)):
                self._folder.remove_file(name)
        self._folder.remove_if_empty()
        self._tokens = None

    # Writing

    def _write(self, records: dict[str, bytes]) -> None:
        """Write all files, then name all of them, so that a full disk leaves none."""
        folder = self._folder.path
        try:
            self._folder.make()
            for token, record in records.items():
                self._write_new(folder / (token + _UNFINISHED_FILE), record)
        except BaseException as error:
            for token in records:
                with contextlib.suppress(OSError):
                    (folder / (token + _UNFINISHED_FILE)).unlink(missing_ok=True)
            if isinstance(error, OSError) and not isinstance(error, StoreError):
                raise store_error(error, folder) from error
            raise
        try:
            for token in records:
                (folder / (token + _UNFINISHED_FILE)).rename(folder / token)
            sync_folder(folder)
        except OSError as error:
            raise self._folder.fail(f"{folder} did not reach the disk ({error.strerror}); check it.") from error

    def _write_new(self, path: Path, record: bytes) -> None:
        path.unlink(missing_ok=True)  # a process that was killed may have left one
        file = create_file(path)
        try:
            write_at(file, record, 0)
            try:
                sync_file(file)
            except OSError as error:
                raise self._folder.fail(f"{path} did not reach the disk ({error.strerror}); check it.") from error
        finally:
            os.close(file)

    # Reading what is there

    def _index(self) -> dict[int, str]:
        """Return the file of each chunk, read from the disk at the first use."""
        if self._tokens is None:
            tokens: dict[int, str] = {}
            for name in self._folder.names():
                if _TOKEN.fullmatch(name):
                    self._enter(name, tokens)
            if tokens:
                self._folder.settle()
            self._tokens = tokens
        return self._tokens

    def _enter(self, token: str, tokens: dict[int, str]) -> None:
        try:
            with self._opened(token) as (_, head):
                chunk_id = head.kept.chunk.chunk_id
        except FileNotFoundError:
            return  # a master has removed it since its name was read
        if chunk_id in tokens:
            raise CorruptStoreError(
                f"{self._folder.path}: files {tokens[chunk_id]} and {token} both hold chunk {chunk_id}; "
                "remove the one that does not belong there."
            )
        tokens[chunk_id] = token

    @contextlib.contextmanager
    def _opened(self, token: str) -> Iterator[tuple[int, RecordHeader]]:
        """Open a file and check all of it but the payload; damage that is found inside the block names it too."""
        path = self._folder.path / token
        try:
            file = open_file(path)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise CorruptStoreError(f"{path} is not the file of a chunk: {error.strerror}.") from error
        try:
            size = os.fstat(file).st_size
            head = read_head(file, 0, size) if size else None
            if head is None or head.end != size:
                raise CorruptStoreError("the file does not end where its record ends")
            if head.kept.token != token:
                raise CorruptStoreError(f"it was put under the name {head.kept.token}")
            check_owner(head, self._folder.run_id, self._folder.step)
            yield file, head
        except CorruptStoreError as error:
            raise CorruptStoreError(
                f"{path}: {error}; its entries are lost here, so put back a good copy of the file or begin a new run."
            ) from error
        except StoreError as error:
            raise StoreError(f"{path}: {error}; use the version that wrote it.") from error
        finally:
            os.close(file)


def _checked(token: str) -> str:
    if _TOKEN.fullmatch(token) is None:
        raise UsageError(f"{token!r} cannot name a file; a token is 1 to 128 letters, digits, '-' or '_'.")
    return token
