"""Recipients of notifications: mail addresses of tasks, and what `DAG(notify=...)` names."""

import re
from typing import Any

from elastic.dag.errors import InvalidKeyError
from elastic.dag.ids import check_key

#: Prefix of a recipient that is a list of mail addresses; all others are ids of connections.
MAILTO = "mailto:"

_ADDRESS = re.compile(r'[^\s\x00-\x1f\x7f\ud800-\udfff@,;:<>()\[\]"\\]+@[^\s\x00-\x1f\x7f-\U0010ffff@,;:<>()"\\]+')
_SEPARATOR = re.compile(r"[,;]")


def addresses_of(value: Any) -> tuple[str, ...]:
    """Return mail addresses, given as one string with commas between them, a list of strings, or None.

    Raises:
        TypeError: A value is not a string.
        ValueError: A string is not a mail address.
    """
    given = () if value is None else tuple(value) if isinstance(value, list | tuple | set | frozenset) else (value,)
    if not all(isinstance(one, str) for one in given):
        raise TypeError("an e-mail address or a list of them")
    found = [one.strip() for text in given for one in _SEPARATOR.split(text) if one.strip()]
    for one in found:
        if not _ADDRESS.fullmatch(one):
            raise ValueError(f"e-mail addresses such as ops@example.org ({one!r} is none)")
    return tuple(dict.fromkeys(found))


def recipients_of(value: Any) -> tuple[str, ...]:
    """Return the recipients of the notifications of a DAG: `mailto:` URLs and ids of connections.

    The errors show no other URL, because it may contain a secret, and messages are stored in plain text.

    Raises:
        TypeError: A value is not a string.
        ValueError: A string is neither a `mailto:` URL nor the id of a connection.
    """
    given = () if value is None else tuple(value) if isinstance(value, list | tuple) else (value,)
    for one in given:
        if not isinstance(one, str):
            raise TypeError(f"a recipient or a list of recipients, got one of the type {type(one).__name__}")
    return tuple(dict.fromkeys(_recipient(one) for one in given))


def mail_recipient(addresses: tuple[str, ...] | list[str]) -> str:
    """Return the recipient that stands for mail addresses."""
    return MAILTO + ",".join(addresses)


def _recipient(text: str) -> str:
    if text.startswith(MAILTO):
        found = addresses_of(text.removeprefix(MAILTO))
        if not found:
            raise ValueError("a list of recipients (mailto: needs an address, as in mailto:ops@example.org)")
        return mail_recipient(found)
    try:
        return check_key("conn_id", text)
    except InvalidKeyError:
        scheme, colon, _ = text.partition(":")
        shown = f"{scheme[:20]}:..." if colon else text[:60]
        raise ValueError(
            f"mailto: URLs or ids of connections, got {shown!r}; store any other URL as a connection and name its id"
        ) from None
