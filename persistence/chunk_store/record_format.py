"""How a chunk is written to a file, in segments and in files of its own.

A record is, with integers big-endian:

    prefix    4 magic "ELCH" | 2 version | 4 length of the body | 8 length of the payload | 4 CRC-32 of these 18
    body      msgpack: run id, step, chunk id, entries, conceived_at, position, reference, content digest, token,
              BLAKE2b-128 of the payload (nil for a chunk without one)
    checksum  16 BLAKE2b-128 of prefix and body
    payload   a zstd frame with its own checksum

The CRC lets a record that a crash cut short be told from one whose length was damaged. All checks come before
anything is decoded. The digest is of the frame, not of what it opens to, so that checking opens nothing.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Any

from elastic.core.contracts.store import StoredChunk
from elastic.core.encoding import digest, pack, unpack
from elastic.core.errors import CorruptStoreError, EncodingError, StoreError
from elastic.core.model.chunk import Chunk
from elastic.persistence.durable_file import read_at

_MAGIC = b"ELCH"
_VERSION = 1
_PREFIX = struct.Struct(">4sHIQI")
_UNCHECKED = _PREFIX.size - 4
_CHECKSUM = 16
#: A head that takes more than this is not written (bytes); a position and a reference name a place, no data.
MAX_BODY = 1 << 20
#: One read takes the whole head of nearly every record.
_GUESS = 512
_FIELDS = (str, int, int, int, int, list, list, bytes, str)


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """All of a record but its payload."""

    run_id: str
    step: int
    kept: StoredChunk  #: the chunk without payload
    digest: bytes | None  #: of the payload; None when the chunk has none
    payload_at: int  #: where the payload begins in the file
    end: int  #: where the record ends in the file


def write_record(run_id: str, step: int, kept: StoredChunk) -> bytes:
    """Return a chunk as one record.

    Raises:
        EncodingError: Position or reference are not plain data, or take more than `MAX_BODY` bytes.
    """
    chunk = kept.chunk
    seal = None if chunk.payload is None else digest(chunk.payload)
    numbers = (step, chunk.chunk_id, chunk.entries, chunk.conceived_at)
    body = pack([run_id, *numbers, list(chunk.position), list(chunk.reference), chunk.content, kept.token, seal])
    if len(body) > MAX_BODY:
        raise EncodingError(f"{chunk}: position and reference take {len(body)} bytes; at most {MAX_BODY} are kept.")
    payload = chunk.payload or b""
    prefix = struct.pack(">4sHIQ", _MAGIC, _VERSION, len(body), len(payload))
    prefix += struct.pack(">I", zlib.crc32(prefix))
    return b"".join((prefix, body, digest(prefix + body), payload))


def read_head(file: int, offset: int, size: int) -> RecordHeader | None:
    """Return the head of the record at `offset` of a file of `size` bytes, or None when the file ends inside it.

    Raises:
        CorruptStoreError: What lies there is not a record as it was written; says why, without naming the place.
        StoreError: The record was written by a newer version.
    """
    data = read_at(file, min(_GUESS, size - offset), offset)
    if not data.startswith(_MAGIC[: len(data)]):
        raise CorruptStoreError("no record begins here")
    if len(data) < _PREFIX.size:
        return None
    _, version, body_bytes, payload_bytes, crc = _PREFIX.unpack_from(data)
    if zlib.crc32(data[:_UNCHECKED]) != crc:
        raise CorruptStoreError("the prefix of a record is damaged")
    if version != _VERSION:
        raise StoreError(f"a record has format {version}, this version reads format {_VERSION}")
    if body_bytes > MAX_BODY:
        raise CorruptStoreError(f"a record claims a head of {body_bytes} bytes")
    payload_at = offset + _PREFIX.size + body_bytes + _CHECKSUM
    if payload_at + payload_bytes > size:
        return None
    data += read_at(file, payload_at - offset - len(data), offset + len(data))
    prefix, body = data[: _PREFIX.size], data[_PREFIX.size : _PREFIX.size + body_bytes]
    if data[_PREFIX.size + body_bytes : payload_at - offset] != digest(prefix + body):
        raise CorruptStoreError("the head of a record is damaged")
    return _head(body, payload_at, payload_bytes)


def read_chunk(file: int, head: RecordHeader) -> Chunk:
    """Return the chunk of a record with its payload.

    Raises:
        CorruptStoreError: The payload is not the one that was put; says so, without naming the place.
    """
    if head.digest is None:
        return head.kept.chunk
    payload = read_at(file, head.end - head.payload_at, head.payload_at)
    if digest(payload) != head.digest:
        raise CorruptStoreError(f"the payload of {head.kept.chunk} is damaged")
    return head.kept.chunk._replace(payload=payload)


def check_owner(head: RecordHeader, run_id: str, step: int) -> None:
    """Refuse a record of another run or step.

    Raises:
        CorruptStoreError: It is; says whose it is.
    """
    if (head.run_id, head.step) != (run_id, step):
        raise CorruptStoreError(
            f"{head.kept.chunk} of run {head.run_id}, step {head.step} lies among those of run {run_id}, step {step}"
        )


def _head(body: bytes, payload_at: int, payload_bytes: int) -> RecordHeader:
    try:
        fields: Any = unpack(body)
    except EncodingError as error:
        raise CorruptStoreError(f"the head of a record cannot be read ({error})") from error
    if not _is_head(fields) or (fields[-1] is None and payload_bytes):
        raise CorruptStoreError("the head of a record does not have the fields of one")
    run_id, step, chunk_id, entries, conceived_at, position, reference, content, token, seal = fields
    chunk = Chunk(chunk_id, tuple(position), conceived_at, tuple(reference), None, entries, content)
    return RecordHeader(run_id, step, StoredChunk(chunk, token), seal, payload_at, payload_at + payload_bytes)


def _is_head(fields: Any) -> bool:
    """Tell whether fields have the types of a head; the checksum says they were written, not by whom."""
    return (
        isinstance(fields, list)
        and len(fields) == len(_FIELDS) + 1
        and all(type(field) is kind for field, kind in zip(fields, _FIELDS, strict=False))
        and (fields[-1] is None or type(fields[-1]) is bytes)
    )
