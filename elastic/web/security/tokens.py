"""API tokens: `els_` and 32 random bytes in base 62."""

import re
import secrets
import string

_ALPHABET = string.digits + string.ascii_letters
_PREFIX = "els_"
#: Number of base-62 characters for 32 bytes.
_LENGTH = 43
_TOKEN = re.compile(rf"{_PREFIX}[0-9A-Za-z]{{{_LENGTH}}}", re.ASCII)


def new_token() -> str:
    """Return a new random token."""
    number = int.from_bytes(secrets.token_bytes(32))
    digits = []
    for _ in range(_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return _PREFIX + "".join(reversed(digits))


def token_in(header: str) -> str | None:
    """Return the token in an Authorization header, or None if the header has another form."""
    scheme, _, value = header.partition(" ")
    value = value.strip()
    return value if scheme.lower() == "bearer" and _TOKEN.fullmatch(value) else None
