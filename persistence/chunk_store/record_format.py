"""Record format of a stored chunk, in segments and in files of single chunks.

A record is, with integers big-endian:

    prefix    4 magic "ELCH" | 2 version | 4 length of the body | 8 length of the payload | 4 CRC-32 of these 18
    body      msgpack: run id, step, chunk id, entries, conceived_at, position, reference, content digest, token,
              BLAKE2b-128 of the payload (nil for a chunk without one)
    checksum  16 BLAKE2b-128 of prefix and body
    payload   a zstd frame with its own checksum

The CRC distinguishes a record that a crash cut short from one with a damaged length. Everything is checked before
anything is decoded. The digest covers the compressed frame, so that a check decompresses nothing.
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
#: Maximum size of a body (bytes). Position and reference name a place in the source; they hold no data.
MAX_BODY = 1 << 20
#: Bytes of the first read, which gets the whole header of nearly every record.
_FIRST_READ_BYTES = 512
_FIELDS = (str, int, int, int, int, list, list, bytes, str)


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """A record without its payload."""

    run_id: str
    step: int
    stored: StoredChunk  #: chunk without payload
    digest: bytes | None  #: digest of the payload; None if the chunk has none
    payload_at: int  #: offset of the payload in the file (bytes)
    end: int  #: offset of the end of the record in the file (bytes)


def write_record(run_id: str, step: int, stored: StoredChunk) -> bytes:
    """Return the record of a chunk.

    Raises:
        EncodingError: Position or reference are not plain data, or take more than `MAX_BODY` bytes.
    """
    chunk = stored.chunk
    payload_digest = None if chunk.payload is None else digest(chunk.payload)
    numbers = (step, chunk.chunk_id, chunk.entries, chunk.cut_at)
    body = pack(
        [run_id, *numbers, list(chunk.position), list(chunk.reference), chunk.content, stored.token, payload_digest]
    )
    if len(body) > MAX_BODY:
        raise EncodingError(
            f"{chunk}: position and reference take {len(body)} bytes; at most {MAX_BODY} can be stored."
        )
    payload = chunk.payload or b""
    prefix = struct.pack(">4sHIQ", _MAGIC, _VERSION, len(body), len(payload))
    prefix += struct.pack(">I", zlib.crc32(prefix))
    return b"".join((prefix, body, digest(prefix + body), payload))


def read_header(file: int, offset: int, size: int) -> RecordHeader | None:
    """Return the header of the record at `offset` of a file of `size` bytes, or None if the file ends inside it.

    Raises:
        CorruptStoreError: The bytes are not an intact record. The message gives the reason, but not the place.
        StoreError: A newer version wrote the record.
    """
    data = read_at(file, min(_FIRST_READ_BYTES, size - offset), offset)
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
        raise CorruptStoreError(f"a record claims a body of {body_bytes} bytes")
    payload_at = offset + _PREFIX.size + body_bytes + _CHECKSUM
    if payload_at + payload_bytes > size:
        return None
    data += read_at(file, payload_at - offset - len(data), offset + len(data))
    prefix, body = data[: _PREFIX.size], data[_PREFIX.size : _PREFIX.size + body_bytes]
    if data[_PREFIX.size + body_bytes : payload_at - offset] != digest(prefix + body):
        raise CorruptStoreError("the header of a record is damaged")
    return _parse_body(body, payload_at, payload_bytes)


def read_chunk(file: int, header: RecordHeader) -> Chunk:
    """Return the chunk of a record with its payload.

    Raises:
        CorruptStoreError: The payload differs from the stored one. The message does not name the place.
    """
    if header.digest is None:
        return header.stored.chunk
    payload = read_at(file, header.end - header.payload_at, header.payload_at)
    if digest(payload) != header.digest:
        raise CorruptStoreError(f"the payload of {header.stored.chunk} is damaged")
    return header.stored.chunk._replace(payload=payload)


def check_owner(header: RecordHeader, run_id: str, step: int) -> None:
    """Refuse a record of another run or step.

    Raises:
        CorruptStoreError: The record belongs to another run or step, which the message names.
    """
    if (header.run_id, header.step) != (run_id, step):
        raise CorruptStoreError(
            f"expected run {run_id}, step {step}, got {header.stored.chunk} of run {header.run_id}, step {header.step}"
        )


def _parse_body(body: bytes, payload_at: int, payload_bytes: int) -> RecordHeader:
    try:
        fields: Any = unpack(body)
    except EncodingError as error:
        raise CorruptStoreError(f"the header of a record cannot be read ({error})") from error
    if not _has_field_types(fields) or (fields[-1] is None and payload_bytes):
        raise CorruptStoreError("the header of a record has invalid fields")
    run_id, step, chunk_id, entries, conceived_at, position, reference, content, token, payload_digest = fields
    chunk = Chunk(chunk_id, tuple(position), conceived_at, tuple(reference), None, entries, content)
    return RecordHeader(run_id, step, StoredChunk(chunk, token), payload_digest, payload_at, payload_at + payload_bytes)


def _has_field_types(fields: Any) -> bool:
    """Return whether fields have the types of a body; the checksum proves their integrity, not their author."""
    return (
        isinstance(fields, list)
        and len(fields) == len(_FIELDS) + 1
        and all(type(field) is kind for field, kind in zip(fields, _FIELDS, strict=False))
        and (fields[-1] is None or type(fields[-1]) is bytes)
    )
