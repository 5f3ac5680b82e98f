"""Prefetch: threads read the chunks of the next calls, and build their frames, while the worker computes this one."""

from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elastic.core.contracts.source import Reader
from elastic.core.errors import UsageError
from elastic.core.model.chunk import Reference
from elastic.core.program import Program
from elastic.core.transform import OF_FRAMES, FrameWords
from elastic.stages.messages import Call
from elastic.stages.sources.files.lines import LazyLines
from elastic.stages.sources.files.reader import FileReader
from elastic.stages.sources.tables.parquet import ParquetReader
from elastic.stages.sources.tables.table_entries import TableEntries
from elastic.stages.worker.frames import FramedBlock, FramedTable, frame_in

if TYPE_CHECKING:
    from elastic.core.frames import Frame

#: Reading a chunk and finding its lines each occupy one thread. Two prefetched chunks keep both of two CPUs busy while
#: a third chunk is computed; with one prefetched chunk the run took 8 % longer.
THREADS = 2


def can_prefetch(program: Program) -> bool:
    """Return whether a program leaves a CPU free for prefetch threads.

    Polars computes without the interpreter lock. Python functions hold it, and prefetching would slow them down. The
    threads run no user code.
    """
    of_frames = bool(program.transforms) and isinstance(program.transforms[0], OF_FRAMES)
    return of_frames and isinstance(program.reader, FileReader | ParquetReader)


@dataclass(frozen=True, slots=True)
class _PrefetchedChunk:
    """Chunk that a thread is reading; its futures raise the errors of the reader."""

    block: "Future[bytes]"
    entries: "Future[Collection[Any]]"


class Prefetcher(Reader):
    """Reader of a program that serves prefetched chunks first."""

    def __init__(self, program: Program) -> None:
        first = program.transforms[0]
        self._reader = program.reader
        self._frame: Callable[[LazyLines], Frame] = first.function if isinstance(first, FrameWords) else frame_in
        self._threads = ThreadPoolExecutor(THREADS, "prefetch")
        self._chunks: dict[Reference, _PrefetchedChunk] = {}
        #: Parsed entries of the current call's chunks whose blocks have been read.
        self._entries: dict[Reference, Future[Collection[Any]]] = {}

    def prefetch(self, calls: Iterable[Call]) -> None:
        """Start reading the chunks of some calls, and drop prefetched chunks of other calls.

        A chunk with a payload is not read: its payload counts even if the file has changed.
        """
        several = [zip(call.references, call.payloads, strict=True) for call in calls]
        references = [reference for pairs in several for reference, payload in pairs if payload is None]
        self._chunks = {reference: self._chunks.get(reference) or self._start(reference) for reference in references}
        self._entries = {}

    def read_block(self, reference: Reference) -> bytes:
        # A repeated read after an error reads the source again.
        ahead = self._chunks.pop(reference, None)
        if ahead is None:
            return self._reader.read_block(reference)
        block = ahead.block.result()
        self._entries[reference] = ahead.entries
        return block

    def parse(self, reference: Reference, block: bytes) -> Collection[Any]:
        # A repeated parse returns new entries.
        entries = self._entries.pop(reference, None)
        return self._reader.parse(reference, block) if entries is None else entries.result()

    def parse_each(self, reference: Reference, block: bytes) -> Collection[Any]:
        return self._reader.parse_each(reference, block)

    def locate(self, reference: Reference, index: int) -> str:
        return self._reader.locate(reference, index)

    def probes(self, reference: Reference) -> str | None:
        return self._reader.probes(reference)

    def close(self) -> None:
        """Stop reading."""
        self._chunks, self._entries = {}, {}
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _start(self, reference: Reference) -> _PrefetchedChunk:
        block: Future[bytes] = Future()
        return _PrefetchedChunk(block, self._threads.submit(self._read, reference, block))

    def _read(self, reference: Reference, block: "Future[bytes]") -> Collection[Any]:
        try:
            block.set_result(self._reader.read_block(reference))
        except BaseException as error:
            block.set_exception(error)
            raise
        entries = self._reader.parse(reference, block.result())
        if isinstance(entries, LazyLines):
            return FramedBlock(entries, self._frame(entries))
        if isinstance(entries, TableEntries):
            # The transform raises the error of a table that cannot become a frame.
            with suppress(UsageError):
                return FramedTable(entries)
        return entries
