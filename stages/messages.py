"""What travels between the master and the nodes, and how it becomes bytes.

Calls and replies are msgpack arrays; columns hold one element, or 16 bytes, a chunk. References are flat tuples of
plain scalars (they arrive as such), payloads and states are zstd frames.
"""

from dataclasses import dataclass, fields
from typing import Any

import msgpack

from elastic.core.errors import EncodingError
from elastic.core.model.chunk import Reference
from elastic.core.model.chunk_columns import ChunkColumns
from elastic.core.model.failure import DeadLetter, Failure
from elastic.core.model.partial import BatchReport, Partial

#: A call that only asks for what the workers hold.
COLLECT = -1

#: The extension type of integers beyond 64 bits.
_WIDE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A batch on its way to a worker."""

    batch_id: int
    #: the worker answers with its state
    collect: bool
    #: the worker runs it in a process of its own, because it may end its process
    isolated: bool
    #: chunks were counted and digested when they were cut
    counted: bool
    columns: ChunkColumns
    references: tuple[Reference, ...]
    payloads: tuple[bytes | None, ...]
    #: the link of the last stage that the call passed
    link: bytes

    @property
    def first(self) -> int:
        """Id of the first chunk."""
        return self.columns.first

    @property
    def stop(self) -> int:
        """One past the last chunk id."""
        return self.columns.stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a worker, or a node for all of its workers, answers."""

    node_id: str
    worker_id: str
    #: the batch that was processed, or COLLECT
    batch_id: int
    #: how long the worker was busy; for several workers, the busiest of them and then their node
    seconds: float = 0.0
    partial: Partial | None = None
    failure: Failure | None = None
    #: the failure is that this node could not read the source
    source_unreadable: bool = False
    #: the failure is that the disk, or the way to it, did not take what the worker has
    spill_failed: bool = False
    #: workers that were found dead on the way: (worker id, reason)
    dead_workers: tuple[tuple[str, str], ...] = ()
    #: the batch was the one that a dead worker was at work on
    suspect: bool = False


def encode_call(call: Call) -> bytes:
    return _pack(_with_columns(fields_of(call)))


def decode_call(data: bytes) -> Call:
    """Return the call that `encode_call` was given; raises EncodingError for anything else."""
    values = _unpack(data)
    try:
        call = dict(zip((field.name for field in fields(Call)), values, strict=True))
        call["columns"] = _columns(*call["columns"])
        call["payloads"] = tuple(call["payloads"])
        call["references"] = tuple(map(tuple, call["references"]))
    except (TypeError, ValueError) as error:
        raise EncodingError(f"a message is no call ({error})") from error
    return Call(**call)


def encode_reply(reply: Reply) -> bytes:
    partial = reply.partial
    return _pack(
        (
            reply.node_id,
            reply.worker_id,
            reply.batch_id,
            reply.seconds,
            None
            if partial is None
            else ([_fields_of_report(report) for report in partial.reports], partial.states, partial.digest),
            None if reply.failure is None else fields_of(reply.failure),
            reply.source_unreadable,
            reply.spill_failed,
            reply.dead_workers,
            reply.suspect,
        )
    )


def decode_reply(data: bytes) -> Reply:
    """Return the reply that `encode_reply` was given; raises EncodingError for anything else."""
    values = _unpack(data)
    try:
        node_id, worker_id, batch_id, seconds, partial, failure, unreadable, spill_failed, dead, suspect = values
        return Reply(
            node_id=node_id,
            worker_id=worker_id,
            batch_id=batch_id,
            seconds=seconds,
            partial=None if partial is None else _partial(*partial),
            failure=None if failure is None else Failure(*failure),
            source_unreadable=unreadable,
            spill_failed=spill_failed,
            dead_workers=tuple((worker, reason) for worker, reason in dead),
            suspect=suspect,
        )
    except (TypeError, ValueError) as error:
        raise EncodingError(f"a message is no reply ({error})") from error


def _partial(reports: list[list[Any]], states: list[bytes], digest: bytes) -> Partial:
    names = [field.name for field in fields(BatchReport)]
    rebuilt = []
    for values in reports:
        report = dict(zip(names, values, strict=True))
        report["columns"] = _columns(*report["columns"])
        report["letters"] = tuple(map(DeadLetter.of, report["letters"]))
        rebuilt.append(BatchReport(**report))
    return Partial(tuple(rebuilt), tuple(states), digest)


def _fields_of_report(report: BatchReport) -> tuple[Any, ...]:
    *others, letters, returned = fields_of(report)
    return (*_with_columns(tuple(others)), [letter.plain() for letter in letters], returned)


def _with_columns(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(fields_of(value) if isinstance(value, ChunkColumns) else value for value in values)


def _columns(first: int, attempt: int, cut_at: list[int], entries: list[int], contents: bytes) -> ChunkColumns:
    return ChunkColumns(first, attempt, tuple(cut_at), tuple(entries), contents)


def fields_of(value: Any) -> tuple[Any, ...]:
    """Return the fields of a dataclass, without copying what is in them."""
    return tuple(getattr(value, field.name) for field in fields(value))


def _pack(value: Any) -> bytes:
    # Names of files may hold half a surrogate pair, and ranges integers beyond 64 bits.
    packed: bytes = msgpack.packb(value, unicode_errors="surrogatepass", default=_write_wide)
    return packed


def _write_wide(value: Any) -> Any:
    if isinstance(value, int):
        return msgpack.ExtType(_WIDE, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
    raise EncodingError(f"{value!r} cannot be part of a message; a reference is a tuple of texts, integers and None")


def _read_wide(code: int, data: bytes) -> int:
    if code != _WIDE:
        raise ValueError(f"unknown extension type {code}")
    return int.from_bytes(data, "big", signed=True)


def _unpack(data: bytes) -> Any:
    try:
        return msgpack.unpackb(data, unicode_errors="surrogatepass", ext_hook=_read_wide)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise EncodingError(f"a message is damaged ({type(error).__name__}: {error})") from error
