"""Passwords: rules, hashes and generation.

Hashes are argon2id, and scrypt where the extra `web` is not installed. Both kinds are verified.
"""

import base64
import hashlib
import hmac
import secrets
import threading
from functools import cache
from typing import Any

from elastic.core.errors import UsageError

#: Cost of argon2id as OWASP recommends it: KiB of memory, passes, lanes.
_MEMORY_COST, _TIME_COST, _PARALLELISM = 19_456, 2, 1

#: Cost of scrypt: about as expensive to guess.
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**15, 8, 1
_SCRYPT_MEMORY = 2**26
_SCRYPT_PREFIX = "scrypt"

MIN_CHARACTERS, MAX_CHARACTERS = 10, 256

#: Common passwords of examples and scanners, in lower case without trailing digits.
_SAMPLES = frozenset(
    ("password", "passwordpassword", "administrator", "elasticelastic", "changemeplease", "letmeinplease")
)

#: Characters of generated passwords: without those that look alike.
_CHARACTERS = "23456789abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"
_GROUPS, _GROUP_LENGTH = 4, 4

#: Maximum number of concurrent verifications; each needs 19 MiB.
_turns = threading.BoundedSemaphore(2)


def check_password(username: str, password: str) -> str:
    """Return a new password if it satisfies the rules.

    Raises:
        UsageError: The password is too short, too long or easy to guess.
    """
    if not MIN_CHARACTERS <= len(password) <= MAX_CHARACTERS:
        raise UsageError(
            f"a password has {MIN_CHARACTERS} to {MAX_CHARACTERS} characters, got {len(password)}; choose another one."
        )
    plain = password.lower()
    if plain.rstrip("0123456789!.") in _SAMPLES or plain.isdigit() or len(set(plain)) < 4 or username.lower() in plain:
        raise UsageError(
            "the password is easy to guess (a common password, digits only, or it contains the user name); "
            "choose another one."
        )
    return password


def made_up_password() -> str:
    """Return a random password of 92 bits, in groups that are easy to type."""
    groups = ("".join(secrets.choice(_CHARACTERS) for _ in range(_GROUP_LENGTH)) for _ in range(_GROUPS))
    return "-".join(groups)


def hash_password(password: str) -> str:
    """Return the hash of a password."""
    argon2 = _argon2()
    with _turns:
        return _scrypt_hash(password) if argon2 is None else str(argon2.hash(_encodable(password)))


def is_password(password: str, password_hash: str) -> bool:
    """Return whether a password matches a hash. A damaged or unknown hash matches nothing."""
    argon2 = _argon2()
    with _turns:
        if password_hash.startswith(f"{_SCRYPT_PREFIX}$"):
            return _is_scrypt(password, password_hash)
        if argon2 is None or len(password) > MAX_CHARACTERS:
            return False
        try:
            return bool(argon2.verify(_encodable(password), password_hash))
        except Exception:  # pwdlib has no common class for errors of unknown hashes
            return False


@cache
def absent_hash() -> str:
    """Return a hash that no password matches. Verifying it makes unknown users take as long as known ones."""
    return hash_password(secrets.token_urlsafe(32))


@cache
def _argon2() -> Any:
    """Return the argon2id hasher, or None if it is not installed."""
    try:
        from pwdlib import PasswordHash
        from pwdlib.hashers.argon2 import Argon2Hasher
    except ImportError:
        return None
    return PasswordHash((Argon2Hasher(memory_cost=_MEMORY_COST, time_cost=_TIME_COST, parallelism=_PARALLELISM),))


def _encodable(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")


def _scrypt_hash(password: str) -> str:
    salt = secrets.token_bytes(16)
    parts = [base64.b64encode(part).decode() for part in (salt, _scrypt(password, salt))]
    return "$".join([_SCRYPT_PREFIX, str(_SCRYPT_N), *parts])


def _is_scrypt(password: str, password_hash: str) -> bool:
    try:
        _, cost, salt, wanted = password_hash.split("$")
        if cost != str(_SCRYPT_N):
            return False
        return hmac.compare_digest(_scrypt(password, base64.b64decode(salt)), base64.b64decode(wanted))
    except ValueError:
        return False


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(_encodable(password), salt=salt, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P, maxmem=_SCRYPT_MEMORY)
