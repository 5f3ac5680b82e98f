"""Text in bytes: which encodings can be cut by line, and how a block is decoded."""

import codecs
from typing import Any

from elastic.core.errors import UsageError
from elastic.stages.sources.argument import one_of
from elastic.stages.sources.block import Block

#: What every encoding that can be cut by line reads as ASCII: backslash escapes, what switches to another
#: character set for the rest of a text (ISO 2022), and all single bytes.
_PROBES = (b"\\n\\u0041", b"\x1b$B\x1b$)C\x0e!!\x0f", bytes(range(128)))


def checked_encoding(encoding: Any, errors: Any) -> str:
    """Return the canonical name of an encoding in which the byte 10, and only it, is a line end.

    Raises:
        UsageError: The encoding is unknown or not compatible with ASCII, or `errors` is neither strict nor replace.
    """
    one_of("errors", errors, ("strict", "replace"))
    if not isinstance(encoding, str):
        raise UsageError(f"encoding must be a name such as 'utf-8', not {encoding!r}.")
    try:
        name = codecs.lookup(encoding).name
        compatible = all(probe.decode(name) == probe.decode("latin-1") for probe in _PROBES)
    except UnicodeError:
        compatible = False
    except (LookupError, ValueError) as error:
        raise UsageError(f"{encoding!r} is not a known text encoding; use for example 'utf-8'.") from error
    if not compatible:
        raise UsageError(
            f"text in {encoding} cannot be cut into chunks, because it is not compatible with ASCII; "
            f"recode the files first, for example with `iconv -f {encoding} -t utf-8`."
        )
    # The variant of utf-8 that drops a byte order mark would drop it at the start of every block.
    return "utf-8" if name == "utf-8-sig" else name


def decoded(block: Block, encoding: str, errors: str) -> str:
    """Return the text of a block, without the byte order mark of its file.

    Raises:
        DecodingError: The bytes are not text in that encoding; names the first bad byte.
    """
    try:
        text = str(block.data, encoding, errors)
    except UnicodeDecodeError as error:
        # Without the cause, which would keep the whole block alive.
        raise block.error(
            error.start,
            f"not {encoding} text ({error.reason})",
            'name the right encoding=, or pass errors="replace" to go on with U+FFFD in its place',
        ) from None
    return text[1:] if block.at == 0 and text.startswith("\ufeff") else text
