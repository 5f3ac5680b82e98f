"""Bundles: signed archives of source code for processes without DAG files.

A bundle is a reproducible zip of plain files, named by the SHA-256 of its content and signed with a key outside the
database. `unpacked` verifies digest and signature before it reads the archive, and its code runs in a process of its
own. So write access to the database does not suffice to run code.
"""

import hashlib
import hmac
import io
import os
import secrets
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from elastic.core.errors import ElasticError, UsageError
from elastic.db.database import Database
from elastic.db.stores.bundles import BundleRow, bundle, store_bundle
from elastic.persistence.durable_file import make_folder

#: Maximum size of an archive, and of its unpacked files (bytes).
MAX_BYTES = 16 * 2**20

_MAX_FILES = 2_000

#: Time of every file in a bundle: the earliest that a zip can express.
_EPOCH = (1980, 1, 1, 0, 0, 0)

_KEY_BYTES = 32


class BundleError(ElasticError):
    """A bundle has an invalid signature or invalid content. None of its code was run."""


def make_key(path: Path) -> None:
    """Create a signing key in a file that only its owner may read.

    Raises:
        UsageError: The file exists or cannot be created.
    """
    try:
        make_folder(path.parent, is_durable=False)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise UsageError(f"{path} exists already; move it away to create another key.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}).") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(_KEY_BYTES) + "\n")


def read_keys(path: Path) -> dict[str, bytes]:
    """Return the keys of a file by signer, one key per line. The first key signs; all keys verify.

    Raises:
        UsageError: The file is missing, invalid, or readable by other users.
    """
    try:
        with path.open(encoding="ascii") as file:
            mode = os.fstat(file.fileno()).st_mode
            texts = [line.strip() for line in file if line.strip()]
        keys = [bytes.fromhex(text) for text in texts]
    except FileNotFoundError:
        raise UsageError(f"there is no key for bundles in {path}; make one with `elastic bundle make-key`.") from None
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} contains an invalid key ({error}); make one with `elastic bundle make-key`."
        ) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(f"{path} is readable by other users; run `chmod 600 {path}`.")
    if not keys or any(len(key) < _KEY_BYTES for key in keys):
        raise UsageError(f"{path} contains no key of {_KEY_BYTES} bytes; make one with `elastic bundle make-key`.")
    return {_signer(key): key for key in keys}


def create(database: Database, place: Path, entry_point: str, keys: dict[str, bytes]) -> str:
    """Pack a file or a folder, sign the archive, store it, and return its digest.

    Args:
        database: The metadata database.
        place: File or folder to pack; hidden files and `__pycache__` are left out.
        entry_point: `module:attribute` of the DAG, with the dotted path of the module from the folder.
        keys: Keys by signer; the first one signs.

    Raises:
        UsageError: A file is a link, the archive is too large, or the module is missing.
    """
    content = packed(place)
    module = _module_path(entry_point)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if module not in archive.namelist():
            raise UsageError(f"{place} has no {module}, where the DAG {entry_point!r} would be.")
    signer, key = next(iter(keys.items()))
    digest = hashlib.sha256(content).hexdigest()
    signature = _signature(key, digest, entry_point)
    row = BundleRow(digest=digest, signer=signer, signature=signature, entry_point=entry_point, content=content)
    before = bundle(database, digest, max_bytes=MAX_BYTES)
    is_valid = before is not None and before.entry_point == entry_point and before.signer in keys
    store_bundle(database, row, sign_again=not is_valid)
    return digest


def packed(place: Path) -> bytes:
    """Return a file or a folder as a reproducible zip.

    Raises:
        UsageError: A file is a link, or the archive is too large.
    """
    root = place if place.is_dir() else place.parent
    paths = sorted(_files(place)) if place.is_dir() else [place]
    if not paths or not place.exists():
        raise UsageError(f"there is nothing to pack in {place}; name a DAG file or a folder of them.")
    if len(paths) > _MAX_FILES or sum(path.stat().st_size for path in paths) > MAX_BYTES:
        raise UsageError(
            f"{place} is too large for a bundle: {_MAX_FILES:,} files and {MAX_BYTES:,} bytes are allowed."
        )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in paths:
            if path.is_symlink():
                raise UsageError(f"{path} is a link, which a bundle cannot contain; replace it by the file.")
            info = zipfile.ZipInfo(path.relative_to(root).as_posix(), _EPOCH)
            info.external_attr = (stat.S_IFREG | 0o600) << 16
            info.create_system = 3  # the same value on every system
            archive.writestr(info, path.read_bytes())
    return buffer.getvalue()


@contextmanager
def unpacked(database: Database, digest: str, keys: dict[str, bytes]) -> Iterator[tuple[Path, Path]]:
    """Verify a bundle, unpack it into a temporary folder, and yield the folder and the file of the DAG.

    Raises:
        BundleError: The bundle is missing, was changed, has an untrusted signer, or has invalid content.
    """
    found = bundle(database, digest, max_bytes=MAX_BYTES)
    if found is None:
        raise BundleError(f"there is no bundle {digest!r} in the database; `elastic bundle create` prints a digest.")
    check(found, digest, keys)
    with tempfile.TemporaryDirectory(prefix="elastic-bundle-") as folder:
        _unpack(found.content, Path(folder))
        yield Path(folder), Path(folder) / _module_path(found.entry_point)


def check(found: BundleRow, digest: str, keys: dict[str, bytes]) -> None:
    """Verify the digest and the signature of a bundle.

    Raises:
        BundleError: One of them is invalid, or no key of the signer is trusted.
    """
    if not hmac.compare_digest(hashlib.sha256(found.content).hexdigest(), digest):
        raise BundleError(f"bundle {digest[:12]} was changed: its content has another digest. It was not run.")
    key = keys.get(found.signer)
    if key is None:
        raise BundleError(f"bundle {digest[:12]} has the untrusted signer {found.signer!r}. It was not run.")
    if not hmac.compare_digest(_signature(key, digest, found.entry_point), found.signature):
        raise BundleError(f"bundle {digest[:12]} has an invalid signature. It was not run.")


def _unpack(content: bytes, folder: Path) -> None:
    total = 0
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        infos = archive.infolist()
        if len(infos) > _MAX_FILES:
            raise BundleError(f"the bundle has {len(infos):,} files; at most {_MAX_FILES:,} are allowed.")
        for info in infos:
            path = _checked_path(info)
            total += info.file_size
            if total > MAX_BYTES:
                raise BundleError(f"the bundle unpacks to more than {MAX_BYTES:,} bytes, which is the maximum.")
            target = folder / path
            make_folder(target.parent, is_durable=False)
            with archive.open(info) as source, target.open("xb") as file:
                file.write(source.read(MAX_BYTES))


def _checked_path(info: zipfile.ZipInfo) -> PurePosixPath:
    path = PurePosixPath(info.filename)
    kind = stat.S_IFMT(info.external_attr >> 16)
    is_plain = kind in (0, stat.S_IFREG) and not info.is_dir()
    if path.is_absolute() or ".." in path.parts or "\\" in info.filename or ":" in info.filename or not is_plain:
        raise BundleError(f"the bundle contains the invalid path {info.filename!r}. None of its code was run.")
    return path


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") or part == "__pycache__" for part in parts):
            continue
        if path.is_symlink() or path.is_file():
            yield path


def _module_path(entry_point: str) -> str:
    module, colon, attribute = entry_point.partition(":")
    if not colon or not attribute.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise UsageError(f"invalid entry point {entry_point!r}; write module:attribute.")
    return module.replace(".", "/") + ".py"


def _signature(key: bytes, digest: str, entry_point: str) -> str:
    return hmac.new(key, f"{digest}\n{entry_point}".encode(), hashlib.sha256).hexdigest()


def _signer(key: bytes) -> str:
    return hashlib.sha256(b"elastic bundle signer" + key).hexdigest()[:16]
