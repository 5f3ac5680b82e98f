"""Masking of secrets in logs and messages. Secrets in an unrecognized encoding are not masked.

A secret is masked in plain text and as URLs, JSON and base64 encode it. A secret of several lines is also masked line
by line. Secrets shorter than four characters are not masked, because they occur in most strings.
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

_MIN_CHARACTERS = 4
#: Minimum length of a masked line of a secret: shorter lines also occur in other strings.
_MIN_LINE_CHARACTERS = 8
#: Mark at the start and end of private keys.
_KEY_MARK = "PRIVATE KEY-----"
_URL_SAFE = str.maketrans("+/", "-_")


class Mask(logging.Filter):
    """Log filter that masks known secrets in strings and log records.

    `protect` adds the filter of the process, `MASK_OF_PROCESS`, to a handler. Any thread may add secrets at any time.
    """

    def __init__(self) -> None:
        super().__init__()
        #: longest first, so that a form that contains another one is masked as a whole
        self._forms: tuple[str, ...] = ()
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def hide(self, secret: str | None) -> None:
        """Mask a value from now on."""
        self.hide_all([secret or ""])

    def hide_all(self, secrets: Iterable[str]) -> None:
        """Mask values from now on. Several values at once cost no more than one."""
        forms = {form for secret in secrets for part in _parts_of(secret) for form in _forms_of(part)}
        with self._lock:
            known = forms.union(self._forms)
            if len(known) > len(self._forms):
                self._forms = tuple(sorted(known, key=len, reverse=True))
                self._pattern = re.compile("|".join(map(re.escape, self._forms)))

    def masked(self, text: str) -> str:
        """Return a string with the secrets masked."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the secrets in the message, traceback and stack of a record."""
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
    """Return the secrets in a named value, including its nested dicts, lists and JSON strings.

    A value is a secret if its name, or the name of a container around it, suggests one, or if it is a private key.
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
    """Return the dict or list in a JSON string, else None."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _parts_of(secret: str) -> Iterator[str]:
    if len(secret) >= _MIN_CHARACTERS:
        yield secret
    if "\n" in secret.strip():
        yield from (line for line in map(str.strip, secret.splitlines()) if len(line) >= _MIN_LINE_CHARACTERS)


def _forms_of(secret: str) -> set[str]:
    raw = secret.encode("utf-8", "surrogatepass")
    written = {quote(raw, safe=""), quote(raw), quote_plus(raw), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
    encoded = {_inner(raw, before) for before in range(3)}
    encoded |= {form.translate(_URL_SAFE) for form in encoded}
    return {form for form in {secret, *written, *encoded} if len(form) >= _MIN_CHARACTERS}


def _inner(raw: bytes, before: int) -> str:
    """Return the characters of base64 that depend only on the secret, after `before` bytes of a group of three."""
    text = base64.b64encode(bytes(before) + raw).decode()
    return text[-(-8 * before // 6) : 8 * (before + len(raw)) // 6]


#: Mask of all secrets known to this process.
MASK_OF_PROCESS = Mask()


def hide(secret: str | None) -> None:
    """Mask a value in the output of protected handlers from now on."""
    MASK_OF_PROCESS.hide(secret)


def hide_all(secrets: Iterable[str]) -> None:
    """Mask values in the output of protected handlers from now on."""
    MASK_OF_PROCESS.hide_all(secrets)


def masked(text: str) -> str:
    """Return a string with all secrets known to this process masked."""
    return MASK_OF_PROCESS.masked(text)


def protect(handler: logging.Handler) -> None:
    """Mask all secrets known to this process in the output of a handler. Repeated calls have no effect."""
    if MASK_OF_PROCESS not in handler.filters:
        handler.addFilter(MASK_OF_PROCESS)
