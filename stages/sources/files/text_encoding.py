"""Text in bytes: which encodings can be cut by line, and how a block is decoded."""

import codecs
from abc import abstractmethod
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from elastic.core.errors import DecodingError, UsageError
from elastic.stages.sources.files.block import FileBlock
from elastic.stages.sources.files.compression import PLAIN
from elastic.stages.sources.files.file_type import check_text, looked_at
from elastic.stages.sources.files.format import RecordFormat
from elastic.stages.sources.validation import one_of

#: What every encoding that can be cut by line reads as ASCII: backslash escapes, what switches to another
#: character set for the rest of a text (ISO 2022), and all single bytes.
_PROBES = (b"\\n\\u0041", b"\x1b$B\x1b$)C\x0e!!\x0f", bytes(range(128)))


#: Codecs of Python that no file is written in.
_NO_FILES = ("idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape")

_ADVICE = 'name the right encoding=, or pass errors="replace" to go on with U+FFFD in its place'


class EncodedFormat(RecordFormat):
    """A format of text, in any encoding.

    In an encoding that is compatible with ASCII the byte 10, and only it, ends a line, so that files are cut into
    ranges. In any other, such as UTF-16, the master reads each file as one sequence and recodes it into UTF-8 before
    it cuts; bytes in messages are those of the UTF-8 then.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def encoding(self) -> str:
        """The canonical name of the encoding."""

    @property
    @abstractmethod
    def errors(self) -> str:
        """Either `strict` or `replace`."""

    @property
    def sequential(self) -> bool:
        return is_recoded(self.encoding)

    def check_head(self, path: str, head: bytes) -> None:
        check_text(path, head, is_recoded=is_recoded(self.encoding))

    def recoded(self, plain: Iterator[bytes], path: str, codec: str) -> Iterator[bytes]:
        inside = "" if codec == PLAIN else f"{codec} data"
        plain = looked_at(plain, path, is_recoded=is_recoded(self.encoding), inside=inside)
        return _recoded(plain, path, self.encoding, self.errors) if is_recoded(self.encoding) else plain


def checked_encoding(encoding: Any, errors: Any) -> str:
    """Return the canonical name of an encoding.

    Raises:
        UsageError: The encoding is unknown or not one of files, or `errors` is neither strict nor replace.
    """
    one_of("errors", errors, ("strict", "replace"))
    if not isinstance(encoding, str):
        raise UsageError(f"encoding must be a name such as 'utf-8', not {encoding!r}.")
    try:
        name = codecs.lookup(encoding).name
        is_recoded(name)
    except (LookupError, ValueError) as error:
        raise UsageError(f"{encoding!r} is not a known text encoding; use for example 'utf-8'.") from error
    if name.replace("-", "_") in _NO_FILES or codecs.lookup(name).incrementaldecoder is None:
        raise UsageError(f"{encoding!r} is not an encoding of files; use for example 'utf-8'.")
    # The variant of utf-8 that drops a byte order mark would drop it at the start of every block.
    return "utf-8" if name == "utf-8-sig" else name


@lru_cache(maxsize=64)
def is_recoded(encoding: str) -> bool:
    """Return True if text in an encoding cannot be cut at each byte 10.

    Raises:
        LookupError: It is not an encoding of text.
    """
    try:
        return any(probe.decode(encoding) != probe.decode("latin-1") for probe in _PROBES)
    except UnicodeError:
        return True


def decoded(block: FileBlock, encoding: str, errors: str) -> str:
    """Return the text of a block, without the byte order mark of its file.

    Raises:
        DecodingError: The bytes are not text in that encoding; names the first bad byte.
    """
    if is_recoded(encoding):
        encoding = "utf-8"
    try:
        text = str(block.data, encoding, errors)
    except UnicodeDecodeError as error:
        # Without the cause, which would keep the whole block alive.
        raise block.error(error.start, f"not {encoding} text ({error.reason})", _ADVICE) from None
    return text[1:] if block.at == 0 and text.startswith("\ufeff") else text


def _recoded(plain: Iterator[bytes], path: str, encoding: str, errors: str) -> Iterator[bytes]:
    """Yield a text in UTF-8.

    Raises:
        DecodingError: The bytes are not text in that encoding; names the byte of the file, or of what it holds.
    """
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    position = 0
    for buffer, is_last in _with_end(plain):
        pending = len(decoder.getstate()[0])
        try:
            text = decoder.decode(buffer, final=is_last)
        except UnicodeDecodeError as error:
            at = position - pending + error.start
            raise DecodingError(path, at, f"not {encoding} text ({error.reason})", _ADVICE) from None
        except UnicodeError:
            # UTF-16 and UTF-32 without a mark: Python does not guess the order of bytes either.
            advice = f"name the order of its bytes, encoding='{encoding}-le' or '{encoding}-be'"
            raise DecodingError(path, 0, f"{encoding} text without a byte order mark", advice) from None
        position += len(buffer)
        if text:
            yield text.encode("utf-8", "surrogatepass")


def _with_end(plain: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    for buffer in plain:
        yield buffer, False
    yield b"", True
