"""Messages between the master and the nodes, and their encoding as bytes.

Calls and replies are msgpack arrays. Columns have one element, or 16 bytes, per chunk. References are flat tuples of
plain scalars and arrive as tuples. Payloads and states are zstd frames.
"""

from dataclasses import dataclass, fields
from typing import Any

import msgpack

from elastic.core.errors import EncodingError
from elastic.core.model.chunk import Reference
from elastic.core.model.chunk_columns import ChunkColumns, ChunkSpan
from elastic.core.model.failure import DeadLetter, Failure
from elastic.core.model.partial import BatchReport, Partial

#: Batch id of a collect request and of its reply.
COLLECT = -1

#: msgpack extension type of integers beyond 64 bits.
_BIG_INTEGER = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(ChunkSpan):
    """Batch on its way to a worker."""

    batch_id: int
    #: The worker returns its state with the reply.
    collect: bool
    #: The worker runs the batch in a child process, because the batch may crash the process.
    isolated: bool
    #: Another worker has the chunks, and may be stuck.
    is_copy: bool
    #: The master counted and digested the chunks when it cut them.
    counted: bool
    columns: ChunkColumns
    references: tuple[Reference, ...]
    payloads: tuple[bytes | None, ...]
    #: Receipt link of the last stage that the call passed.
    link: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Reply of a worker, or of a node for all its workers."""

    node_id: str
    worker_id: str
    #: Processed batch, or COLLECT.
    batch_id: int
    #: Busy time of the worker in seconds; of several workers, the longest one plus the time of their node.
    seconds: float = 0.0
    partial: Partial | None = None
    failure: Failure | None = None
    #: The failure: this node could not read the source.
    source_unreadable: bool = False
    #: The failure: the worker's state could not be written to the disk or sent to the spill store.
    spill_failed: bool = False
    #: Workers that died since the last reply: (worker id, reason).
    dead_workers: tuple[tuple[str, str], ...] = ()
    #: The dead worker was processing this batch.
    may_be_poison: bool = False


def encode_call(call: Call) -> bytes:
    return _pack(_with_columns(fields_of(call)))


def decode_call(data: bytes) -> Call:
    """Return the call that `encode_call` encoded. Raise EncodingError for any other bytes."""
    values = _unpack(data)
    try:
        call = dict(zip((field.name for field in fields(Call)), values, strict=True))
        call["columns"] = _columns(*call["columns"])
        call["payloads"] = tuple(call["payloads"])
        call["references"] = tuple(map(tuple, call["references"]))
    except (TypeError, ValueError) as error:
        raise EncodingError(f"a message is not a valid call ({error})") from error
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
            else ([_report_fields(report) for report in partial.reports], partial.states, partial.digest),
            None if reply.failure is None else fields_of(reply.failure),
            reply.source_unreadable,
            reply.spill_failed,
            reply.dead_workers,
            reply.may_be_poison,
        )
    )


def decode_reply(data: bytes) -> Reply:
    """Return the reply that `encode_reply` encoded. Raise EncodingError for any other bytes."""
    values = _unpack(data)
    try:
        node_id, worker_id, batch_id, seconds, partial, failure, unreadable, spill_failed, dead, may_be_poison = values
        return Reply(
            node_id=node_id,
            worker_id=worker_id,
            batch_id=batch_id,
            seconds=seconds,
            partial=None if partial is None else _decode_partial(*partial),
            failure=None if failure is None else Failure(*failure),
            source_unreadable=unreadable,
            spill_failed=spill_failed,
            dead_workers=tuple((worker, reason) for worker, reason in dead),
            may_be_poison=may_be_poison,
        )
    except (TypeError, ValueError) as error:
        raise EncodingError(f"a message is not a valid reply ({error})") from error


def _decode_partial(reports: list[list[Any]], states: list[bytes], digest: bytes) -> Partial:
    names = [field.name for field in fields(BatchReport)]
    rebuilt = []
    for values in reports:
        report = dict(zip(names, values, strict=True))
        report["columns"] = _columns(*report["columns"])
        report["dead_letters"] = tuple(map(DeadLetter.of, report["dead_letters"]))
        rebuilt.append(BatchReport(**report))
    return Partial(tuple(rebuilt), tuple(states), digest)


def _report_fields(report: BatchReport) -> tuple[Any, ...]:
    *others, dead_letters, returned = fields_of(report)
    return (*_with_columns(tuple(others)), [letter.plain() for letter in dead_letters], returned)


def _with_columns(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(fields_of(value) if isinstance(value, ChunkColumns) else value for value in values)


def _columns(first: int, attempt: int, cut_at: list[int], entries: list[int], contents: bytes) -> ChunkColumns:
    return ChunkColumns(first, attempt, tuple(cut_at), tuple(entries), contents)


def fields_of(value: Any) -> tuple[Any, ...]:
    """Return the fields of a dataclass as a tuple of the same objects."""
    return tuple(getattr(value, field.name) for field in fields(value))


def _pack(value: Any) -> bytes:
    # File names may contain lone surrogates, and ranges integers beyond 64 bits.
    packed: bytes = msgpack.packb(value, unicode_errors="surrogatepass", default=_encode_big_integer)
    return packed


def _encode_big_integer(value: Any) -> Any:
    if isinstance(value, int):
        return msgpack.ExtType(_BIG_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
    raise EncodingError(f"{value!r} cannot be part of a message; a reference must be a tuple of str, int and None")


def _decode_big_integer(code: int, data: bytes) -> int:
    if code != _BIG_INTEGER:
        raise ValueError(f"unknown extension type {code}")
    return int.from_bytes(data, "big", signed=True)


def _unpack(data: bytes) -> Any:
    try:
        return msgpack.unpackb(data, unicode_errors="surrogatepass", ext_hook=_decode_big_integer)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise EncodingError(f"a message is damaged ({type(error).__name__}: {error})") from error
