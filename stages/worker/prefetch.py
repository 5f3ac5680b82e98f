"""Reading ahead: the chunks of the next calls are read, and made frames, while those of this one are computed."""

from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elastic.core.contracts.source import Reader
from elastic.core.model.chunk import Reference
from elastic.core.program import Program
from elastic.core.transform import OF_FRAMES, FrameWords
from elastic.stages.messages import Call
from elastic.stages.sources.files.lines import LazyLines
from elastic.stages.sources.files.reader import FileReader
from elastic.stages.worker.frames import FramedBlock, frame_in

if TYPE_CHECKING:
    from elastic.core.frames import Frame

#: Much of a chunk is one thread's work: reading it at one time, finding its lines at another. Two chunks that
#: are made ready while a third one is computed leave neither of two CPUs without work; one took 8 % longer.
THREADS = 2


def pays(program: Program) -> bool:
    """Tell whether a program has a CPU left for a thread that reads.

    Polars computes without the interpreter's lock; what is written in Python holds it, and would be disturbed. The
    thread runs no code of a user's.
    """
    of_frames = bool(program.transforms) and isinstance(program.transforms[0], OF_FRAMES)
    return of_frames and isinstance(program.reader, FileReader)


@dataclass(frozen=True, slots=True)
class _PrefetchedChunk:
    """A chunk that is being read; errors are raised where somebody asks for the result."""

    block: "Future[bytes]"
    entries: "Future[Collection[Any]]"


class Prefetcher(Reader):
    """A program's reader, some of whose chunks are read by threads before they are asked for."""

    def __init__(self, program: Program) -> None:
        first = program.transforms[0]
        self._reader = program.reader
        self._frame: Callable[[LazyLines], Frame] = first.function if isinstance(first, FrameWords) else frame_in
        self._threads = ThreadPoolExecutor(THREADS, "reading-ahead")
        self._ahead: dict[Reference, _PrefetchedChunk] = {}
        #: entries of the chunks of this call whose blocks were asked for
        self._entries: dict[Reference, Future[Collection[Any]]] = {}

    def foresee(self, calls: Iterable[Call]) -> None:
        """Begin to read what calls refer to; what was read and is of none of them is dropped.

        A chunk that carries its payload is that, whatever its file has become.
        """
        several = [zip(call.references, call.payloads, strict=True) for call in calls]
        wanted = [reference for pairs in several for reference, payload in pairs if payload is None]
        self._ahead = {reference: self._ahead.get(reference) or self._begun(reference) for reference in wanted}
        self._entries = {}

    def read_block(self, reference: Reference) -> bytes:
        # Whoever asks again, because it could not be read, has it read again.
        ahead = self._ahead.pop(reference, None)
        if ahead is None:
            return self._reader.read_block(reference)
        block = ahead.block.result()
        self._entries[reference] = ahead.entries
        return block

    def parse(self, reference: Reference, block: bytes) -> Collection[Any]:
        # Whoever parses a chunk again gets entries of his own.
        entries = self._entries.pop(reference, None)
        return self._reader.parse(reference, block) if entries is None else entries.result()

    def locate(self, reference: Reference, index: int) -> str:
        return self._reader.locate(reference, index)

    def probes(self, reference: Reference) -> str | None:
        return self._reader.probes(reference)

    def close(self) -> None:
        """Read nothing any more."""
        self._ahead, self._entries = {}, {}
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _begun(self, reference: Reference) -> _PrefetchedChunk:
        block: Future[bytes] = Future()
        return _PrefetchedChunk(block, self._threads.submit(self._prepared, reference, block))

    def _prepared(self, reference: Reference, block: "Future[bytes]") -> Collection[Any]:
        try:
            block.set_result(self._reader.read_block(reference))
        except BaseException as error:
            block.set_exception(error)
            raise
        entries = self._reader.parse(reference, block.result())
        if isinstance(entries, LazyLines):
            return FramedBlock(entries, self._frame(entries))
        return entries
