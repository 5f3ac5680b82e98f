"""Chunker: cuts a source into numbered chunks."""

import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, cast

from elastic.core.clock import Clock
from elastic.core.contracts.source import Source
from elastic.core.encoding import compress, decompress, digest, pack, unpack
from elastic.core.errors import ElasticError, EncodingError, SourceError, UsageError
from elastic.core.model.chunk import Chunk, Position, SourcePiece
from elastic.core.model.failure import DeadLetter
from elastic.core.transform import name_of

#: The user's function of the option `project`.
Projection = Callable[[list[Any]], list[Any]]


class Chunker:
    """Iterator over the chunks of a source; it reads only as far as the caller asks.

    Args:
        source: The source to cut.
        clock: Clock for the times at which chunks are cut.
        project: The user's function that drops the parts of a chunk's entries that the workers do not need. It is
            applied to entries that travel by value.
        resume: `(chunk id, position)` to continue from; None for the beginning.
        frame: Encodes payloads that travel by value.
    """

    #: keys of the dead letters in the chunks of a redrive; the master commits those chunks together, at the end
    redriven: tuple[tuple[int, int | None], ...] = ()

    def __init__(
        self,
        source: Source,
        clock: Clock,
        *,
        project: Projection | None = None,
        resume: Position | None = None,
        frame: Callable[[bytes], bytes] = compress,
    ) -> None:
        self._clock, self._project, self._frame, self._source = clock, project, frame, source
        self._next_id: int
        self._next_id, position = resume or (0, None)
        #: True if chunks must be stored until they are folded, because the source cannot yield them again
        self.keeps = not source.replayable
        with wrap_source_errors():
            self._pieces: Iterator[SourcePiece] = source.cut(position)
        #: `(chunk id, source position)` of the last chunk that this or an earlier master cut
        self.reached: Position | None = resume
        #: True once the source is exhausted
        self.exhausted = False

    @property
    def chunks(self) -> int:
        """Number of chunks cut from the source, including those of earlier masters."""
        return self._next_id

    def cut(self, count: int, max_bytes: int = sys.maxsize) -> tuple[list[Chunk], bool]:
        """Return up to `count` more chunks of about `max_bytes` in total, and whether the source is exhausted.

        Raises:
            SourceError: The source cannot be read.
            EncodingError: An entry cannot be sent.
        """
        chunks: list[Chunk] = []
        cut_at = int(self._clock.now() * 1e6)
        try:
            with wrap_source_errors():
                for piece in islice(self._pieces, count):
                    if not isinstance(piece, SourcePiece):
                        raise SourceError(f"the source yielded {piece!r}; its cut must yield elastic.SourcePiece.")
                    chunk = chunk_of(piece, self._next_id, cut_at, self._project, self._frame)
                    chunks.append(chunk)
                    self._next_id += 1
                    max_bytes -= chunk.weight
                    if max_bytes <= 0:
                        return chunks, False
        finally:
            if chunks:
                self.reached = (chunks[-1].chunk_id, chunks[-1].position)
        self.exhausted = len(chunks) < count
        return chunks, self.exhausted

    def check(self) -> None:
        """Check that the source was read to its end; the master calls this when all chunks are folded.

        Raises:
            SourceError: The source has more entries, but cannot continue.
        """

    def renewed(self, letter: DeadLetter) -> DeadLetter:
        """Return a dead letter of one of the chunks in the form in which it is stored."""
        return letter

    def give_back(self, chunks: list[Chunk]) -> None:
        """Return the last chunks to a one-shot source, which cannot yield them again by itself."""
        pieces = [
            SourcePiece(chunk.position, chunk.reference, unpack(decompress(chunk.payload)), is_projected=True)
            for chunk in chunks
            if chunk.payload is not None
        ]
        with wrap_source_errors():
            self._source.take_back(pieces)

    def close(self) -> None:
        """Close the files and connections of the source."""
        if hasattr(self._pieces, "close"):
            cast("Generator[SourcePiece]", self._pieces).close()


def chunk_of(
    piece: SourcePiece, chunk_id: int, cut_at: int, project: Projection | None, frame: Callable[[bytes], bytes]
) -> Chunk:
    """Return the chunk of a piece.

    Args:
        piece: The piece.
        chunk_id: Number of the chunk.
        cut_at: Microseconds since 1970.
        project: As for `Chunker`.
        frame: As for `Chunker`.

    Raises:
        EncodingError: An entry cannot be sent.
        UsageError: The projection fails, or the workers read this source themselves.
    """
    if piece.entries is None:
        if project is not None:
            raise UsageError(
                f"project={name_of(project)} cannot be used, because the workers read this source "
                "themselves; drop the parts that you do not need with map."
            )
        payload = None if piece.block is None else frame(piece.block)
        return Chunk(chunk_id, piece.position, cut_at, piece.reference, payload)
    entries = piece.entries if project is None or piece.is_projected else _projected(piece.entries, chunk_id, project)
    try:
        plain = pack(entries)
    except EncodingError as error:
        raise EncodingError(f"chunk {chunk_id} of the source cannot be sent: {error}.") from error
    return Chunk(chunk_id, piece.position, cut_at, piece.reference, frame(plain), len(entries), digest(plain))


def _projected(entries: list[Any], chunk_id: int, project: Projection) -> list[Any]:
    count = len(entries)
    try:
        projected = project(entries)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise UsageError(f"project={name_of(project)} failed on chunk {chunk_id} ({reason}).") from error
    if not isinstance(projected, list) or len(projected) != count:
        raise UsageError(
            f"project={name_of(project)} must return a list with one element for each of the {count} entries."
        )
    return projected


@contextmanager
def wrap_source_errors() -> Iterator[None]:
    """Convert exceptions of a user-defined source in the block to SourceError."""
    try:
        yield
    except ElasticError:
        raise
    except Exception as error:
        raise SourceError(f"the source failed ({type(error).__name__}: {error}).") from error
