"""Encryption of secrets in the database: Fernet, with rotating keys.

Without a key, secrets are neither written nor read. They are never stored in clear text.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from elastic.config.secret_mask import hide_all
from elastic.config.settings import Settings
from elastic.core.errors import UsageError
from elastic.core.optional import require
from elastic.db.errors import MissingKeyError, SecretError, WrongKeyError
from elastic.persistence.durable_file import make_folder, replacing

if TYPE_CHECKING:
    from cryptography.fernet import Fernet, MultiFernet

#: Error handler that keeps half a surrogate pair through encryption and decryption.
_LOSSLESS = "surrogatepass"


class Cipher:
    """Cipher that encrypts strings with its first key and decrypts with any of its keys.

    The encrypted value contains the name of the secret. A password copied into another row is refused there.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        """Create a cipher from its keys, the newest first.

        Raises:
            UsageError: A key is not a valid Fernet key; the message does not show it.
        """
        self._keys = [key.strip() for key in keys if key.strip()]
        for number, key in enumerate(self._keys, 1):
            _fernet_of(key, number)

    def encrypt(self, what: str, text: str) -> str:
        """Return an encrypted string; `what` is the name of the secret, such as "the password of 'mysql'".

        Raises:
            MissingKeyError: There is no key; the caller must not store the secret.
        """
        return self._fernet(what).encrypt(f"{what}\n{text}".encode("utf-8", _LOSSLESS)).decode()

    def decrypt(self, what: str, token: str) -> str:
        """Return the decrypted string.

        Raises:
            MissingKeyError: There is no key.
            WrongKeyError: No key can decrypt it.
            SecretError: The value is another secret than `what`.
        """
        from cryptography.fernet import InvalidToken

        try:
            plain = self._fernet(what).decrypt(token.encode()).decode("utf-8", _LOSSLESS)
        except (InvalidToken, UnicodeError):
            raise WrongKeyError(what) from None
        name, _, text = plain.partition("\n")
        if name != what:
            raise SecretError(f"{what} contains the encrypted value of {name}; set it again.")
        return text

    def _fernet(self, what: str) -> "MultiFernet":
        if not self._keys:
            raise MissingKeyError(what)
        from cryptography.fernet import MultiFernet

        return MultiFernet([_fernet_of(key, number) for number, key in enumerate(self._keys, 1)])

    def __repr__(self) -> str:
        return f"<Cipher of {len(self._keys)} keys>"


def cipher_of(settings: Settings) -> Cipher:
    """Return a cipher with the keys from `secrets.fernet_key`, else from the key file.

    Raises:
        UsageError: A key is no Fernet key, or other users can read the key file.
    """
    return Cipher(keys_of(settings))


def keys_of(settings: Settings) -> list[str]:
    """Return the keys that the settings name, and mask them in logs.

    Raises:
        UsageError: The key file cannot be read, or other users can read it.
    """
    given = settings.text("secrets.fernet_key")
    keys = given.split(",") if given else _read_keys(key_path(settings))
    hide_all(keys)
    return keys


def key_path(settings: Settings) -> Path:
    """Return the path of the key file, which may not exist."""
    return Path(settings.text("secrets.fernet_key_path")).expanduser()


def new_key() -> str:
    """Return a new random key."""
    key: bytes = _fernet_module().Fernet.generate_key()
    return key.decode()


def add_key(path: Path) -> int:
    """Insert a new key at the top of a key file, create the file if needed, and return the number of keys.

    Raises:
        UsageError: Other users can read the file, or it cannot be written.
    """
    keys = [new_key(), *_read_keys(path)]
    _write_keys(path, keys)
    return len(keys)


def keep_first_key(path: Path) -> None:
    """Remove all keys except the newest from a key file."""
    _write_keys(path, _read_keys(path)[:1])


def _write_keys(path: Path, keys: Sequence[str]) -> None:
    try:
        make_folder(path.parent, is_durable=False)
        with replacing(path) as file:
            file.write("".join(f"{key}\n" for key in keys).encode("ascii"))
    except OSError as error:
        raise UsageError(f"the key file {path} cannot be written ({error.strerror}).") from error


def _read_keys(path: Path) -> list[str]:
    try:
        with path.open(encoding="ascii") as file:
            mode = os.fstat(file.fileno()).st_mode
            lines = file.read().split()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the key file {path} cannot be read ({error}).") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(f"the key file {path} is readable by other users; run `chmod 600 {path}`.")
    return lines


def _fernet_module() -> Any:
    return require("cryptography.fernet", extra="secrets", user="the encryption of secrets")


def _fernet_of(key: str, number: int) -> "Fernet":
    try:
        return cast("Fernet", _fernet_module().Fernet(key))
    except ValueError:
        raise UsageError(
            f"Fernet key {number} is invalid (expected 32 bytes in url-safe base64); "
            "make one with `elastic db make-key`."
        ) from None
