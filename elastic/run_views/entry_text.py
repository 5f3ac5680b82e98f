"""Entries of dead letters as text and as hexadecimal digits, bounded for any content."""

from dataclasses import dataclass
from reprlib import Repr
from typing import Any

from elastic.core.encoding import unpack
from elastic.core.errors import EncodingError
from elastic.core.model.bad_record import RawRecord
from elastic.core.model.failure import DeadLetter
from elastic.core.text import lines, writable

#: Maximum number of characters of an entry, and of bytes of its dump.
MAX_TEXT, MAX_HEX = 64 << 10, 4 << 10

#: Maximum size of a decoded entry (bytes). Small containers take about 60 times the memory of their encoding.
MAX_DECODED = 1 << 20
_HEX_WIDTH = 16
_ELEMENTS = 200
_DEPTH = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryText:
    """Readable form of an entry."""

    #: type and size, such as `str, 6 characters`
    kind: str
    text: str
    #: dump of its bytes, or of its encoding if it is neither bytes nor a string
    hex: str
    #: True if the entry is longer than the shown part
    is_cut: bool
    #: True if `hex` is a dump of the stored encoding instead of the entry
    is_encoded: bool = False
    note: str = ""


def entry_text(letter: DeadLetter) -> EntryText:
    """Return the entry of a dead letter as text, or its stored bytes if it cannot be decoded."""
    if len(letter.entry) > MAX_DECODED:
        return _stored_bytes(letter, "The entry is too large to be decoded here. These are the first stored bytes.")
    try:
        value = unpack(letter.entry)
    except (EncodingError, ValueError, TypeError, RecursionError) as error:
        return _stored_bytes(letter, f"The entry cannot be decoded here ({error}). These are the stored bytes.")
    note = "" if letter.exact else "The entry is not plain data, so only a description is stored."
    if isinstance(value, RawRecord):
        data = value.data
        note = note or "The reader could not parse this record. These are its bytes."
        return _bytes_text("record", data, note)
    if isinstance(value, bytes):
        return _bytes_text("bytes", value, note)
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogatepass")
        kind = f"str, {len(value):,} character{'s' * (len(value) != 1)}"
        is_cut = len(value) > MAX_TEXT
        return EntryText(kind=kind, text=_shown(value), hex=dump(data), is_cut=is_cut, note=note)
    text = _represented(value)
    is_cut = len(text) > MAX_TEXT or len(letter.entry) > MAX_TEXT
    return EntryText(
        kind=_kind(value), text=_shown(text), hex=dump(letter.entry), is_cut=is_cut, is_encoded=True, note=note
    )


def entry_line(letter: DeadLetter, longest: int = 80) -> str:
    """Return the beginning of an entry as one line: strings in quotes, bytes as `b'...'`."""
    if len(letter.entry) > MAX_TEXT:
        return f"an entry of {len(letter.entry):,} bytes"
    try:
        value = unpack(letter.entry)
    except (EncodingError, ValueError, TypeError, RecursionError):
        return f"{len(letter.entry):,} bytes that cannot be decoded"
    if isinstance(value, RawRecord):
        value = value.data
    text = value if isinstance(value, str) and not letter.exact else _represented(value)
    text = writable(lines(text).replace("\n", "\\n"))
    return text if len(text) <= longest else text[: longest - 1] + "…"


def dump(data: bytes) -> str:
    """Return the first bytes as lines of offset, hexadecimal digits and printable characters."""
    shown = []
    for at in range(0, min(len(data), MAX_HEX), _HEX_WIDTH):
        part = data[at : min(at + _HEX_WIDTH, MAX_HEX)]
        letters = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)
        shown.append(f"{at:08x}  {part.hex(' '):<{3 * _HEX_WIDTH - 1}}  {letters}")
    return "\n".join(shown)


def _stored_bytes(letter: DeadLetter, note: str) -> EntryText:
    return EntryText(
        kind=f"{len(letter.entry):,} bytes",
        text="",
        hex=dump(letter.entry),
        is_cut=len(letter.entry) > MAX_HEX,
        is_encoded=True,
        note=lines(note),
    )


def _bytes_text(kind: str, data: bytes, note: str) -> EntryText:
    text = data[: MAX_TEXT + 4].decode("utf-8", "backslashreplace")
    return EntryText(
        kind=f"{kind}, {len(data):,} byte{'s' * (len(data) != 1)}",
        text=_shown(text),
        hex=dump(data),
        is_cut=len(data) > MAX_TEXT,
        note=note,
    )


def _shown(text: str) -> str:
    return lines(text[:MAX_TEXT])


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"{name} of {len(value):,}" if isinstance(value, list | tuple | dict | set | frozenset) else name


def _represented(value: Any) -> str:
    """Return a bounded `repr`: a few elements of a large container, and a few levels of a deep one."""
    shortened = Repr()
    shortened.maxlevel = _DEPTH
    for limit in ("maxlist", "maxtuple", "maxdict", "maxset", "maxfrozenset", "maxdeque", "maxarray"):
        setattr(shortened, limit, _ELEMENTS)
    shortened.maxstring = shortened.maxother = shortened.maxlong = MAX_TEXT
    try:
        return shortened.repr(value)
    except (ValueError, RecursionError, OverflowError) as error:
        return f"(repr failed: {error})"
