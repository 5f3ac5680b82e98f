"""Masking of secrets in the output of user code, such as the errors of dead letters."""

import threading
import time

from elastic.config.secret_mask import masked
from elastic.db.known_secrets import hide_known_secrets

#: Seconds between reads of the stored secrets.
_PERIOD = 60.0

_turn = threading.Lock()
_next_at = 0.0


def masked_text(text: object) -> str:
    """Return a string with the secrets of this installation masked, except those stored within the last minute."""
    global _next_at
    with _turn:
        is_due = time.monotonic() >= _next_at
        if is_due:
            _next_at = time.monotonic() + _PERIOD
    hide_known_secrets(again=is_due)
    return masked(str(text))
