"""Receipts: frozen proof that one stage handled some chunks, chained from stage to stage.

Each stage makes one *link* for the chunks of a batch: BLAKE2b-128 (RFC 7693), keyed with the run's key and personalised
with the stage, over the columns of the chunks, the digest of their partial, and the link of the previous stage. So a
link cannot be forged, moved to another stage, or removed from the chain without detection. The receipt of a single
chunk is computed on demand, in the same way, from its own fields and the link of its batch.
"""

import base64
import binascii
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from hmac import compare_digest

from elastic.core.errors import ReceiptError
from elastic.core.model.chunk import UNCOUNTED
from elastic.core.receipts.stage import STAGES, Stage

#: Link before the first stage, and state digest of chunks that are in no partial yet.
NO_LINK = NO_STATE = bytes(16)

# Both have a fixed length, and the lengths differ, so a link cannot be mistaken for a receipt.
_LINK = struct.Struct("16s16s16s")
_FIELDS = struct.Struct(">QIQq16s16s")
_TOKEN = struct.Struct(">4sBQ")
_TOKEN_VERSION = 1
_TOKEN_MAC_BYTES = 8


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that one stage handled one chunk; `str` returns its token."""

    step: int
    chunk_id: int
    attempt: int
    stage: Stage
    node_id: str
    #: Microseconds since 1970 when the chunk was cut.
    cut_at: int
    #: Number of entries; UNCOUNTED at stages before the count.
    entries: int
    digest: bytes  #: 16 bytes.
    #: Short string that `decode_token` converts back into time, stage and entries.
    token: str

    @property
    def time(self) -> datetime:
        """Time in UTC when the chunk was cut (ElasticFlow: its conception)."""
        return datetime.fromtimestamp(self.cut_at / 1e6, UTC)

    def __str__(self) -> str:
        return self.token


@dataclass(frozen=True, slots=True)
class TokenFields:
    """Decoded fields of a token."""

    time: datetime
    stage: Stage
    #: Number of entries; None at stages before the count.
    entries: int | None
    step: int
    chunk_id: int
    attempt: int


class StageMac:
    """MAC of the links and receipts of one stage on one node."""

    __slots__ = ("_base",)

    def __init__(self, base: "blake2b") -> None:
        self._base = base

    def link(self, columns: bytes, state: bytes, previous: bytes) -> bytes:
        """Return the link of a batch: MAC of its `digest_input()`, its state digest, and the previous link."""
        return self._mac(_LINK.pack(columns, state, previous))

    def receipt(self, fields: tuple[int, int, int, int], content: bytes, link: bytes) -> bytes:
        """Return the digest of a chunk's receipt; `fields` are chunk id, attempt, cut time and entries."""
        return self._mac(_FIELDS.pack(*fields, content, link))

    def _mac(self, data: bytes) -> bytes:
        hasher = self._base.copy()
        hasher.update(data)
        return hasher.digest()


class ReceiptSigner:
    """Signer of the receipts of one step of one run.

    Args:
        key: The run's key, 32 random bytes. It allows its owner to make receipts.
        run_id: The run.
        step: The step's index in the run.
    """

    __slots__ = ("_macs", "key", "run_id", "step")

    def __init__(self, *, key: bytes, run_id: str, step: int) -> None:
        self.key, self.run_id, self.step = key, run_id, step
        self._macs: dict[tuple[Stage, str], StageMac] = {}

    def mac(self, stage: Stage, node_id: str) -> StageMac:
        """Return the MAC of `stage` on `node_id`."""
        mac = self._macs.get((stage, node_id))
        if mac is None:
            hasher = blake2b(digest_size=16, key=self.key, person=stage.encode())
            for part in (self.run_id.encode(), node_id.encode()):
                hasher.update(struct.pack(">I", len(part)) + part)
            hasher.update(struct.pack(">I", self.step))
            mac = self._macs[stage, node_id] = StageMac(hasher)
        return mac

    def receipt(
        self, stage: Stage, node_id: str, fields: tuple[int, int, int, int], content: bytes, link: bytes
    ) -> Receipt:
        """Return a receipt; `fields` are chunk id, attempt, cut time and entries."""
        chunk_id, attempt, cut_at, entries = fields
        return Receipt(
            self.step, chunk_id, attempt, stage, node_id, cut_at, entries,
            digest=self.mac(stage, node_id).receipt(fields, content, link),
            token=self._token(stage, fields),
        )  # fmt: skip

    def _token(self, stage: Stage, fields: tuple[int, int, int, int]) -> str:
        chunk_id, attempt, cut_at, entries = fields
        numbers = (self.step, chunk_id, attempt, entries + 1)
        body = _TOKEN.pack(run_tag(self.run_id), _TOKEN_VERSION << 4 | stage.ordinal, cut_at)
        body += b"".join(map(_varint, numbers))
        return base64.b32encode(body + _token_mac(self.key, self.run_id, body)).decode().rstrip("=").lower()


def run_tag(run_id: str) -> bytes:
    """Return the four bytes that identify a run in its tokens."""
    return blake2b(run_id.encode(), digest_size=4, person=b"run tag").digest()


def token_run_tag(token: str) -> bytes:
    """Return the run tag inside a token, to find the run whose key checks it.

    Raises:
        ReceiptError: The string is not a token.
    """
    return _token_bytes(token)[:4]


def decode_token(token: str, *, key: bytes, run_id: str) -> TokenFields:
    """Return the fields of a token that was made with the run's key.

    Raises:
        ReceiptError: The string is not a token, was changed, or belongs to another run.
    """
    data = _token_bytes(token)
    body, mac = data[:-_TOKEN_MAC_BYTES], data[-_TOKEN_MAC_BYTES:]
    if not compare_digest(mac, _token_mac(key, run_id, body)):
        raise ReceiptError(f"receipt {_short(token)} was not made by run {run_id}, or was changed.")
    _, kind, cut_at = _TOKEN.unpack_from(body)
    step, chunk_id, attempt, entries = _varints(body[_TOKEN.size :])
    return TokenFields(
        time=datetime.fromtimestamp(cut_at / 1e6, UTC),
        stage=STAGES[kind & 0xF],
        entries=None if entries - 1 == UNCOUNTED else entries - 1,
        step=step,
        chunk_id=chunk_id,
        attempt=attempt,
    )


def _token_mac(key: bytes, run_id: str, body: bytes) -> bytes:
    return blake2b(run_id.encode() + body, digest_size=_TOKEN_MAC_BYTES, key=key, person=b"token").digest()


def _token_bytes(token: str) -> bytes:
    text = token.strip().upper()
    try:
        data = base64.b32decode(text + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        data = b""
    if len(data) < _TOKEN.size + 4 + _TOKEN_MAC_BYTES:
        raise ReceiptError(f"{_short(token)} is not a receipt; a receipt is a string of about 40 letters and digits.")
    return data


def _short(token: str) -> str:
    return repr(token if len(token) <= 60 else token[:57] + "...")


def _varint(number: int) -> bytes:
    """LEB128: seven bits a byte, lowest first."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _varints(data: bytes) -> list[int]:
    numbers, number, shift = [], 0, 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(number)
            number = shift = 0
    return numbers
