"""Text encodings: which ones allow cutting at line feeds, and decoding of blocks."""

import codecs
import re
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from elastic.core.errors import DecodingError, UsageError
from elastic.stages.sources.files.block import FileBlock
from elastic.stages.sources.files.compression import PLAIN
from elastic.stages.sources.files.file_type import check_stream, check_text
from elastic.stages.sources.files.format import RecordFormat, raw_lines
from elastic.stages.sources.validation import one_of

#: Bytes that every encoding with ASCII line ends reads as ASCII: backslash escapes, sequences that switch the character
#: set of the following bytes (ISO 2022), and all single bytes.
_ASCII_PROBES = (b"\\n\\u0041", b"\x1b$B\x1b$)C\x0e!!\x0f", bytes(range(128)))


#: Python codecs that are not used for files.
_NOT_FILE_ENCODINGS = ("idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape")

#: Error handler that keeps the bytes of text that the master cannot convert.
_KEEP_BYTES = "elastic.keep_bytes"
#: Invalid bytes as lone surrogates, which valid text never contains: the first of a sequence is U+DD00 plus the byte,
#: and the others U+DC00 plus the byte. This pattern finds a sequence in UTF-8.
_FIRST_KEPT, _NEXT_KEPT = 0xDD00, 0xDC00
_KEPT = re.compile(rb"\xed[\xb4-\xb7][\x80-\xbf](?:\xed[\xb0-\xb3][\x80-\xbf])*")
_REPLACEMENT = "\ufffd".encode()

_ADVICE = 'pass the right encoding=, or errors="replace" to read it as U+FFFD'


class EncodedFormat(RecordFormat):
    """Format of text in any encoding.

    In an encoding that is compatible with ASCII, byte 10 always ends a line, so files can be cut into ranges. With any
    other encoding, such as UTF-16, the master reads each file as one sequence and converts it to UTF-8 before it cuts.
    Byte numbers in messages then count the UTF-8.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def encoding(self) -> str:
        """Canonical name of the encoding."""

    @property
    @abstractmethod
    def errors(self) -> str:
        """`strict` or `replace`."""

    @property
    def sequential(self) -> bool:
        return needs_recoding(self.encoding)

    def check_head(self, path: str, head: bytes) -> None:
        check_text(path, head, needs_recoding=needs_recoding(self.encoding))

    def decode_stream(self, plain: Iterator[bytes], path: str, codec: str) -> Iterator[bytes]:
        outer = "" if codec == PLAIN else f"{codec} data"
        plain = check_stream(plain, path, needs_recoding=needs_recoding(self.encoding), outer=outer)
        return _to_utf8(plain, path, self.encoding, self.errors) if needs_recoding(self.encoding) else plain


@dataclass(frozen=True, slots=True)
class EncodedLines(EncodedFormat):
    """Format whose entries are lines of encoded text.

    Attributes:
        encoding: Any text encoding; see `EncodedFormat`.
        errors: `strict`, or `replace` to read invalid bytes as U+FFFD.

    Raises:
        UsageError: The encoding is unknown.
    """

    encoding: str = "utf-8"
    errors: str = "strict"

    def __post_init__(self) -> None:
        object.__setattr__(self, "encoding", check_encoding(self.encoding, self.errors))


def check_encoding(encoding: Any, errors: Any) -> str:
    """Return the canonical name of an encoding.

    Raises:
        UsageError: The encoding is unknown or not used for files, or `errors` is neither strict nor replace.
    """
    one_of("errors", errors, ("strict", "replace"))
    if not isinstance(encoding, str):
        raise UsageError(f"encoding must be a name such as 'utf-8', not {encoding!r}.")
    try:
        name = codecs.lookup(encoding).name
        needs_recoding(name)
    except (LookupError, ValueError) as error:
        raise UsageError(f"{encoding!r} is not a known text encoding; use for example 'utf-8'.") from error
    if name.replace("-", "_") in _NOT_FILE_ENCODINGS or codecs.lookup(name).incrementaldecoder is None:
        raise UsageError(f"{encoding!r} is not an encoding of files; use for example 'utf-8'.")
    # utf-8-sig would drop a byte order mark at the start of every block, not only of the file.
    return "utf-8" if name == "utf-8-sig" else name


@lru_cache(maxsize=64)
def needs_recoding(encoding: str) -> bool:
    """Return True if text in an encoding cannot be cut at every byte 10.

    Raises:
        LookupError: No text encoding has this name.
    """
    try:
        return any(probe.decode(encoding) != probe.decode("latin-1") for probe in _ASCII_PROBES)
    except UnicodeError:
        return True


class DecodedLine(NamedTuple):
    """Line of a block."""

    at: int  #: Offset in the block, in bytes.
    number: int  #: Number of line ends before it.
    raw: bytes  #: The line without its line end, and without the byte order mark of its file.
    text: str | DecodingError  #: Its text, or the error of a line that is not valid in the encoding.


def decoded_lines(block: FileBlock, encoding: str, errors: str) -> Iterator[DecodedLine]:
    """Yield the lines of a block, each with its text or its error; slower than `decode_block`."""
    size, lines = len(block.data), list(raw_lines(block.data))
    texts = _texts(block, encoding, errors)
    if texts is None or len(texts) != len(lines):
        texts = None
    for number, (at, line) in enumerate(lines):
        is_ended = at + len(line) < size
        if is_ended:
            line = line.removesuffix(b"\r")
        text: str | DecodingError
        if texts is None:
            text = _text_or_error(block, at, line, encoding, errors)
        else:
            text = texts[number].removesuffix("\r") if is_ended else texts[number]
        if block.at + at == 0:
            line = line.removeprefix(codecs.BOM_UTF8)
            if not line and size <= len(codecs.BOM_UTF8):
                return  # nothing but the mark
        yield DecodedLine(at, number, line, text)


def _texts(block: FileBlock, encoding: str, errors: str) -> list[str] | None:
    """Return the texts of the lines of a block, decoded together; None if they may differ from each one by itself."""
    text = decoded_or_error(block, encoding, errors)
    if isinstance(text, DecodingError) or (errors != "strict" and encoding != "utf-8"):
        return None
    texts = text.split("\n")
    if not texts[-1]:
        texts.pop()
    return texts


def _text_or_error(block: FileBlock, at: int, line: bytes, encoding: str, errors: str) -> str | DecodingError:
    if block.at + at and not needs_recoding(encoding):
        try:
            return str(line, encoding, errors)
        except UnicodeDecodeError:
            pass
    return decoded_or_error(FileBlock(block.path, block.at + at, line), encoding, errors)


def decoded_or_error(block: FileBlock, encoding: str, errors: str) -> str | DecodingError:
    """Return the text of a block as `decode_block` does, or its error."""
    try:
        return decode_block(block, encoding, errors)
    except DecodingError as error:
        return error


def decode_block(block: FileBlock, encoding: str, errors: str) -> str:
    """Return the text of a block, without the byte order mark of its file.

    Raises:
        DecodingError: The bytes are not valid in that encoding; the message names the first bad byte.
    """
    data, codec = block.data, encoding
    if needs_recoding(encoding):
        data, codec = block.data if errors == "strict" else _KEPT.sub(_REPLACEMENT, block.data), "utf-8"
    try:
        text = str(data, codec, errors)
    except UnicodeDecodeError as error:
        # Without the cause, which would keep the whole block in memory.
        reason = error.reason if codec == encoding else "invalid bytes"
        raise block.error(error.start, f"not {encoding} text ({reason})", _ADVICE) from None
    return text[1:] if block.at == 0 and text.startswith("\ufeff") else text


def _to_utf8(plain: Iterator[bytes], path: str, encoding: str, errors: str) -> Iterator[bytes]:
    """Yield encoded text as UTF-8.

    With `strict`, invalid bytes become invalid UTF-8, so that the reader of the chunk finds the record that holds them.

    Raises:
        DecodingError: The order of the bytes is unknown.
    """
    codecs.register_error(_KEEP_BYTES, _keep_bytes)
    decoder = codecs.getincrementaldecoder(encoding)(_KEEP_BYTES if errors == "strict" else errors)
    for buffer, is_last in _with_end(plain):
        try:
            text = decoder.decode(buffer, final=is_last)
        except UnicodeError:
            # UTF-16 or UTF-32 without a byte order mark: Python does not guess the byte order either.
            advice = f"name the byte order with encoding='{encoding}-le' or '{encoding}-be'"
            raise DecodingError(path, 0, f"{encoding} text without a byte order mark", advice) from None
        if text:
            yield text.encode("utf-8", "surrogatepass")


def _keep_bytes(error: UnicodeError) -> tuple[str, int]:
    """Return invalid bytes as lone surrogates: the error handler `_KEEP_BYTES`."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    first, *rest = error.object[error.start : error.end]
    return chr(_FIRST_KEPT + first) + "".join([chr(_NEXT_KEPT + byte) for byte in rest]), error.end


def _with_end(plain: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    for buffer in plain:
        yield buffer, False
    yield b"", True
