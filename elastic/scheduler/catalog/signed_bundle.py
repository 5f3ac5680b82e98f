"""Bundles: signed archives of source, for processes that have no DAG files.

A bundle is a zip of plain files, the same bytes for the same files, named by the SHA-256 of its content and signed with
a key that lies outside the database. Nothing in it is looked at before digest and signature were found right, and its
code runs in a process of its own. So whoever can write to the database cannot run code.
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
from elastic.db.stores.bundles import BundleRow, bundle, keep_bundle
from elastic.persistence.durable_file import make_folder

#: Bytes of an archive, and of all that is in it, and how many files.
LARGEST, _MOST_FILES = 16 * 2**20, 2_000

#: The time of every file in a bundle: the first that a zip knows.
_EPOCH = (1980, 1, 1, 0, 0, 0)

_KEY_BYTES = 32


class BundleError(ElasticError):
    """A bundle is not what somebody signed, or holds what a bundle may not hold. Nothing of it was run."""


def make_key(path: Path) -> None:
    """Make a key that bundles are signed with, in a file that only its owner may read.

    Raises:
        UsageError: There is one, or the file cannot be made.
    """
    try:
        make_folder(path.parent, is_durable=False)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise UsageError(f"{path} is there already; move it away if another key is wanted.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}).") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(_KEY_BYTES) + "\n")


def read_keys(path: Path) -> dict[str, bytes]:
    """Return the keys of a file by the names of their signers, one a line: the first one signs, all are trusted.

    Raises:
        UsageError: There is none, or others than its owner may read it.
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
            f"{path} holds no keys for bundles ({error}); make one with `elastic bundle make-key`."
        ) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(f"{path} can be read by others than its owner; run `chmod 600 {path}`.")
    if not keys or any(len(key) < _KEY_BYTES for key in keys):
        raise UsageError(f"{path} holds no key of {_KEY_BYTES} bytes; make one with `elastic bundle make-key`.")
    return {_signer(key): key for key in keys}


def create(database: Database, place: Path, entry_point: str, keys: dict[str, bytes]) -> str:
    """Pack a file or a folder, sign it, keep it, and return its digest.

    Args:
        database: Where it is kept.
        place: What is packed. Hidden files and `__pycache__` are left out.
        entry_point: `module:attribute` of the DAG; the module as a path from the folder, with dots.
        keys: The first one signs.

    Raises:
        UsageError: There is a link in it, it is too large, or the module is not in it.
    """
    content = packed(place)
    module = _module_path(entry_point)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if module not in archive.namelist():
            raise UsageError(f"{place} has no {module}, where the DAG {entry_point!r} would be.")
    signer, key = next(iter(keys.items()))
    digest = hashlib.sha256(content).hexdigest()
    signature = _signature(key, digest, entry_point)
    made = BundleRow(digest=digest, signer=signer, signature=signature, entry_point=entry_point, content=content)
    before = bundle(database, digest, largest=LARGEST)
    is_fine = before is not None and before.entry_point == entry_point and before.signer in keys
    keep_bundle(database, made, sign_again=not is_fine)
    return digest


def packed(place: Path) -> bytes:
    """Return a file or a folder as a zip: the same bytes for the same files.

    Raises:
        UsageError: There is a link in it, or it is too large.
    """
    root = place if place.is_dir() else place.parent
    paths = sorted(_files(place)) if place.is_dir() else [place]
    if not paths or not place.exists():
        raise UsageError(f"there is nothing to pack in {place}; name a DAG file or a folder of them.")
    if len(paths) > _MOST_FILES or sum(path.stat().st_size for path in paths) > LARGEST:
        raise UsageError(f"{place} is too large for a bundle: {_MOST_FILES:,} files and {LARGEST:,} bytes are allowed.")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in paths:
            if path.is_symlink():
                raise UsageError(f"{path} is a link, which a bundle may not hold; put the file itself there.")
            info = zipfile.ZipInfo(path.relative_to(root).as_posix(), _EPOCH)
            info.external_attr = (stat.S_IFREG | 0o600) << 16
            info.create_system = 3  # the same on every system
            archive.writestr(info, path.read_bytes())
    return buffer.getvalue()


@contextmanager
def unpacked(database: Database, digest: str, keys: dict[str, bytes]) -> Iterator[tuple[Path, Path]]:
    """Check a bundle, unpack it into a new folder, and yield that and the file of its DAG; both go with the block.

    Raises:
        BundleError: It is not there, was changed, was signed by somebody else, or holds what it may not.
    """
    found = bundle(database, digest, largest=LARGEST)
    if found is None:
        raise BundleError(f"there is no bundle {digest!r} in the database; `elastic bundle create` prints a digest.")
    check(found, digest, keys)
    with tempfile.TemporaryDirectory(prefix="elastic-bundle-") as folder:
        _unpack(found.content, Path(folder))
        yield Path(folder), Path(folder) / _module_path(found.entry_point)


def check(found: BundleRow, digest: str, keys: dict[str, bytes]) -> None:
    """See to it that a bundle is what somebody signed whom we trust.

    Raises:
        BundleError: It is not.
    """
    if not hmac.compare_digest(hashlib.sha256(found.content).hexdigest(), digest):
        raise BundleError(f"bundle {digest[:12]} was changed: its content has another digest; it is not run.")
    key = keys.get(found.signer)
    if key is None:
        raise BundleError(
            f"bundle {digest[:12]} was signed by {found.signer!r}, whom nobody here trusts; it is not run."
        )
    if not hmac.compare_digest(_signature(key, digest, found.entry_point), found.signature):
        raise BundleError(f"the signature of bundle {digest[:12]} is wrong; it is not run.")


def _unpack(content: bytes, folder: Path) -> None:
    total = 0
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        infos = archive.infolist()
        if len(infos) > _MOST_FILES:
            raise BundleError(f"a bundle of {len(infos):,} files is not unpacked.")
        for info in infos:
            path = _checked_path(info)
            total += info.file_size
            if total > LARGEST:
                raise BundleError(f"a bundle of more than {LARGEST:,} bytes is not unpacked.")
            target = folder / path
            make_folder(target.parent, is_durable=False)
            with archive.open(info) as source, target.open("xb") as file:
                file.write(source.read(LARGEST))


def _checked_path(info: zipfile.ZipInfo) -> PurePosixPath:
    path = PurePosixPath(info.filename)
    kind = stat.S_IFMT(info.external_attr >> 16)
    is_plain = kind in (0, stat.S_IFREG) and not info.is_dir()
    if path.is_absolute() or ".." in path.parts or "\\" in info.filename or ":" in info.filename or not is_plain:
        raise BundleError(f"the bundle holds {info.filename!r}, which may not be in one; nothing of it is run.")
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
        raise UsageError(f"{entry_point!r} is no entry point; write module:attribute.")
    return module.replace(".", "/") + ".py"


def _signature(key: bytes, digest: str, entry_point: str) -> str:
    return hmac.new(key, f"{digest}\n{entry_point}".encode(), hashlib.sha256).hexdigest()


def _signer(key: bytes) -> str:
    return hashlib.sha256(b"elastic bundle signer" + key).hexdigest()[:16]
