"""Secrets are taken out of what is logged, as well as it can be done: a secret in a form unknown here gets through.

A value is hidden in clear and as URLs, JSON and base64 write it. What is shorter than four characters is not hidden:
half of every text would be.
"""

import base64
import json
import logging
import re
import threading
from urllib.parse import quote, quote_plus

#: What stands in place of a secret.
MASK = "***"

_SHORTEST = 4
_URL_SAFE = str.maketrans("+/", "-_")
_NAMED = re.compile(r"pass|pwd|psw|secret|token|api_?key|private_?key|fernet|auth|credential", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Say whether what has this name is not to be shown."""
    return _NAMED.search(name) is not None


class Mask(logging.Filter):
    """Knows secrets, and takes them out of texts and of log records.

    One for the whole process, `MASK_OF_PROCESS`, is put on handlers with `protect`; it may be told of more secrets at
    any time and from any thread.
    """

    def __init__(self) -> None:
        super().__init__()
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def hide(self, secret: str | None) -> None:
        """Take a value out of all texts from now on."""
        if not secret or len(secret) < _SHORTEST:
            return
        with self._lock:
            self._forms.update(_forms_of(secret))
            # the longest first, or what contains another one would be left with an end that tells
            ordered = sorted(self._forms, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, ordered)))

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


def masked(text: str) -> str:
    """Return a text without the secrets that this process knows."""
    return MASK_OF_PROCESS.masked(text)


def protect(handler: logging.Handler) -> None:
    """Let a handler write no secret that this process knows. Doing it twice is the same as once."""
    if MASK_OF_PROCESS not in handler.filters:
        handler.addFilter(MASK_OF_PROCESS)
