"""A user's chunk store: each chunk is one file, named by its id."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from elastic.core.contracts.store import ChunkStore, StoredChunk
from elastic.core.encoding import pack, unpack
from elastic.core.errors import StoreError
from elastic.core.model.chunk import Chunk


class OwnChunkStore(ChunkStore):
    """Keeps chunks in `<run>/own/<step>/<chunk id>`."""

    def __init__(self, folder: Path, run_id: str, step: int, *, read_only: bool = False) -> None:
        self.folder = folder / "own" / str(step)
        self.read_only = read_only

    def put(self, kept: Sequence[StoredChunk]) -> None:
        self.check()
        packed = {one.chunk.chunk_id: pack(tuple(one.chunk)) for one in kept}
        if packed:
            self.folder.mkdir(parents=True, exist_ok=True)
        for chunk_id, data in packed.items():
            new = self.folder / f"{chunk_id}.new"
            with new.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.folder / str(chunk_id))

    def get(self, chunk_id: int) -> Chunk:
        try:
            return Chunk(*unpack((self.folder / str(chunk_id)).read_bytes()))
        except FileNotFoundError as error:
            raise LookupError(f"chunk {chunk_id} is not kept") from error

    def delete(self, chunk_ids: Iterable[int]) -> None:
        self.check()
        for chunk_id in chunk_ids:
            (self.folder / str(chunk_id)).unlink(missing_ok=True)

    def unfinished(self) -> Iterator[int]:
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return iter(sorted(int(path.name) for path in found if path.name.isdecimal()))

    def clean(self) -> None:
        super().clean()
        with suppress(OSError):
            self.folder.rmdir()
            self.folder.parent.rmdir()

    def check(self) -> None:
        if self.read_only:
            raise StoreError("the chunks were opened for reading")
