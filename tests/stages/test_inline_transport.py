"""The inline transport: background reading and encoding for programs of frames, and for no others."""

import threading
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from elastic.aggregators import FrameCount
from elastic.aggregators.frames.base import FrameBuffer
from elastic.core.contracts.aggregator import AnyAggregator
from elastic.core.encoding import decompress
from elastic.core.ledger.events import WorkerJoined
from elastic.core.model.chunk import Chunk
from elastic.core.model.partial import Partial
from elastic.core.policies.error_policy import ErrorPolicy
from elastic.core.program import Program
from elastic.core.transform import FrameWords, Transform
from elastic.stages.messages import COLLECT, Call, Reply
from elastic.stages.sources import FileSource, TextLines
from elastic.stages.transport.inline import InlineTransport
from elastic.stages.transport.transport import Arrival
from elastic.stages.worker.prefetch import THREADS
from elastic.stages.worker.words import word_frame
from tests.stages.stage_samples import KEY, Gather, by_value, call_of, program

#: Seconds that are enough for any machine; a passing test never waits so long.
LONG = 60.0


class Slow(FrameCount):
    """Encodes once the test allows it, and records the thread."""

    def __init__(self) -> None:
        super().__init__()
        self.allowed = threading.Event()
        self.thread: threading.Thread | None = None

    def encode(self, state: FrameBuffer) -> bytes:
        self.thread = threading.current_thread()
        assert self.allowed.wait(LONG)
        return super().encode(state)


class Failing(FrameCount):
    def encode(self, state: FrameBuffer) -> bytes:
        raise ValueError("no bytes for this")


def frames(folder: Path, aggregator: AnyAggregator, *, chunks: int) -> tuple[Program, list[Call]]:
    """Return a program that counts words of a file, and calls of one chunk each."""
    (folder / "text").write_text("".join([f"word{number:04}\n" for number in range(10 * chunks)]))
    source = FileSource([folder / "text"], TextLines(), chunk_bytes=90)
    pieces = list(source.cut())
    assert len(pieces) == chunks
    transforms: tuple[Transform, ...] = (FrameWords(word_frame),)
    made = Program(source.reader().columnar(), transforms, aggregator, ErrorPolicy(), KEY, "run", 0)
    numbered = [Chunk(number, piece.position, 1_000, piece.reference) for number, piece in enumerate(pieces)]
    return made, [call_of(chunk, batch_id=chunk.chunk_id) for chunk in numbered]


def collected(made: Program, calls: list[Call]) -> Partial:
    """Return the state of the worker of a program after some calls."""
    transport = opened(made)
    for call in (*calls, None):
        transport.send("inline", call)
    for _ in calls:
        transport.poll(LONG)
    (reply,) = collections(transport, 1)
    transport.close()
    assert reply.partial is not None
    return reply.partial


def opened(made: Program) -> InlineTransport:
    transport = InlineTransport()
    transport.open(made)
    (joined,) = transport.poll(0)
    assert isinstance(joined, WorkerJoined)
    return transport


def answer(arrived: list[Arrival]) -> Reply:
    (reply,) = arrived
    assert isinstance(reply, Reply)
    return reply


def test_calls_go_on_while_what_was_folded_is_encoded(tmp_path: Path) -> None:
    slow = Slow()
    made, calls = frames(tmp_path, slow, chunks=3)
    transport = opened(made)
    for call in (calls[0], None, *calls[1:]):
        transport.send("inline", call)
    assert answer(transport.poll(LONG)).batch_id == 0
    assert transport.poll(LONG) == [], "the collection is under way, and the next call need not wait for it"
    assert [answer(transport.poll(LONG)).batch_id for _ in calls[1:]] == [1, 2]
    assert transport.poll(0) == []
    slow.allowed.set()
    collected = answer(transport.poll(LONG))
    assert collected.batch_id == COLLECT
    assert collected.partial is not None
    assert [report.first for report in collected.partial.reports] == [0], "what came later is not among it"
    assert slow.thread not in (None, threading.main_thread())
    for _ in range(2):
        transport.send("inline", None)
    rest, none = collections(transport, 2)
    assert rest.partial is not None
    assert [report.first for report in rest.partial.reports] == [1, 2]
    assert none.partial is None, "each request has an answer of its own"
    transport.close()


def collections(transport: InlineTransport, count: int) -> list[Reply]:
    """Return the next replies, which may come with one of several polls."""
    arrived: list[Arrival] = []
    for _ in range(100):
        arrived += transport.poll(0.1)
        if len(arrived) == count:
            break
    return [answer([reply]) for reply in arrived]


def test_a_state_that_cannot_be_encoded_beside_is_a_failure_of_the_step(tmp_path: Path) -> None:
    made, calls = frames(tmp_path, Failing(), chunks=1)
    transport = opened(made)
    transport.send("inline", calls[0])
    transport.send("inline", None)
    transport.poll(LONG)
    (reply,) = collections(transport, 1)
    assert reply.failure is not None
    assert "no bytes for this" in reply.failure.message
    transport.close()


def test_a_transport_that_is_closed_waits_for_no_state(tmp_path: Path) -> None:
    slow = Slow()
    made, calls = frames(tmp_path, slow, chunks=1)
    transport = opened(made)
    transport.send("inline", calls[0])
    transport.send("inline", None)
    transport.poll(LONG)
    assert transport.poll(0) == []
    transport.close()
    transport.close()
    slow.allowed.set()


def test_a_state_of_frames_comes_with_its_encoded_form(tmp_path: Path) -> None:
    count = FrameCount()
    partial = collected(*frames(tmp_path, count, chunks=2))
    (kept,) = partial.states
    assert rows(count.finish(partial.live_state)) == rows(count.finish(count.decode(decompress(kept))))
    assert len(rows(count.finish(partial.live_state))) == 20


def rows(frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    return sorted(frame.rows())


def test_other_states_come_only_as_bytes() -> None:
    assert collected(program(), [call_of(by_value(0, ["a"]))]).live_state is None


def test_a_worker_that_reads_ahead_takes_calls_for_all_of_its_threads(tmp_path: Path) -> None:
    made, _ = frames(tmp_path, FrameCount(), chunks=1)
    for some, ahead in ((made, THREADS), (program(), 0)):
        transport = InlineTransport()
        transport.open(some)
        assert transport.poll(0) == [
            WorkerJoined("inline", "inline/0", on_master=True, ahead=ahead, in_thread=not ahead)
        ]
        transport.close()


@pytest.mark.parametrize("collect", [False, True])
def test_other_programs_are_worked_on_by_one_thread(collect: bool) -> None:
    threads = []

    class Noting(Gather):
        def encode(self, state: list[object]) -> bytes:
            threads.append(threading.current_thread())
            return super().encode(state)

    transport = opened(program(aggregator=Noting()))
    transport.send("inline", call_of(by_value(0, ["a"]), collect=collect))
    transport.send("inline", None)
    first, second = answer(transport.poll(0)), answer(transport.poll(0))
    assert [reply.partial is not None for reply in (first, second)] == [collect, not collect]
    assert threads == [threading.main_thread()]
    transport.close()
