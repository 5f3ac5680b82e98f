"""Secrets are taken out of what is logged, as well as it can be done: a secret in a form unknown here gets through.

A value is hidden in clear and as URLs, JSON and base64 write it; one of several lines also line by line, because logs
have lines. What is shorter than four characters is not hidden: half of every text would be.
"""

import base64
import json
import logging
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from elastic.core.redaction import MASK, is_secret_name

_SHORTEST = 4
#: Lines of a longer secret: a short one tells little, and would hide words of other texts.
_SHORTEST_LINE = 8
#: What private keys begin and end with, whatever they are called.
_KEY_MARK = "PRIVATE KEY-----"
_URL_SAFE = str.maketrans("+/", "-_")


class Mask(logging.Filter):
    """Knows secrets, and takes them out of texts and of log records.

    One for the whole process, `MASK_OF_PROCESS`, is put on handlers with `protect`; it may be told of more secrets at
    any time and from any thread.
    """

    def __init__(self) -> None:
        super().__init__()
        #: the longest first, or what contains another one would be left with an end that tells
        self._forms: tuple[str, ...] = ()
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def hide(self, secret: str | None) -> None:
        """Take a value out of all texts from now on."""
        self.hide_all([secret or ""])

    def hide_all(self, secrets: Iterable[str]) -> None:
        """Take values out of all texts from now on; several at once cost no more than one."""
        forms = {form for secret in secrets for part in _parts_of(secret) for form in _forms_of(part)}
        with self._lock:
            known = forms.union(self._forms)
            if len(known) > len(self._forms):
                self._forms = tuple(sorted(known, key=len, reverse=True))
                self._pattern = re.compile("|".join(map(re.escape, self._forms)))

    def masked(self, text: str) -> str:
        """Return a text without the secrets."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def filter(self, record: logging.LogRecord) -> bool:
        """Take the secrets out of a record: its message, its traceback, its stack."""
        if self._pattern is None:
            return True
        record.msg, record.args = self.masked(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = self.masked(record.exc_text)
        if record.stack_info:
            record.stack_info = self.masked(record.stack_info)
        return True


def secrets_in(value: Any, name: str) -> list[str]:
    """Return the secrets in a value that has a name: itself, or what lies in its dicts and lists, or in its JSON.

    A value is a secret if its name sounds so, or the name of something that it lies in, or if it is a private key.
    """
    return list(_secrets_in(value, is_secret=is_secret_name(name)))


def _secrets_in(value: Any, *, is_secret: bool) -> Iterator[str]:
    if isinstance(value, str):
        inner = _of_json(value)
        if is_secret or _KEY_MARK in value:
            yield value
        if inner is not None:
            yield from _secrets_in(inner, is_secret=is_secret)
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from _secrets_in(one, is_secret=is_secret or is_secret_name(str(name)))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _secrets_in(one, is_secret=is_secret)
    elif is_secret and value is not None and not isinstance(value, bool):
        yield str(value)


def _of_json(text: str) -> Any:
    """Return what a text holds as JSON; None where it is no dict and no list."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _parts_of(secret: str) -> Iterator[str]:
    if len(secret) >= _SHORTEST:
        yield secret
    if "\n" in secret.strip():
        yield from (line for line in map(str.strip, secret.splitlines()) if len(line) >= _SHORTEST_LINE)


def _forms_of(secret: str) -> set[str]:
    raw = secret.encode("utf-8", "surrogatepass")
    written = {quote(raw, safe=""), quote(raw), quote_plus(raw), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
    encoded = {_inner(raw, before) for before in range(3)}
    encoded |= {form.translate(_URL_SAFE) for form in encoded}
    return {form for form in {secret, *written, *encoded} if len(form) >= _SHORTEST}


def _inner(raw: bytes, before: int) -> str:
    """Return what of a secret's base64 does not depend on what stands around it, after so many bytes of a group."""
    text = base64.b64encode(bytes(before) + raw).decode()
    return text[-(-8 * before // 6) : 8 * (before + len(raw)) // 6]


#: The secrets that this process knows.
MASK_OF_PROCESS = Mask()


def hide(secret: str | None) -> None:
    """Take a value out of all that protected handlers write from now on."""
    MASK_OF_PROCESS.hide(secret)


def hide_all(secrets: Iterable[str]) -> None:
    """Take values out of all that protected handlers write from now on."""
    MASK_OF_PROCESS.hide_all(secrets)


def masked(text: str) -> str:
    """Return a text without the secrets that this process knows."""
    return MASK_OF_PROCESS.masked(text)


def protect(handler: logging.Handler) -> None:
    """Let a handler write no secret that this process knows. Doing it twice is the same as once."""
    if MASK_OF_PROCESS not in handler.filters:
        handler.addFilter(MASK_OF_PROCESS)
