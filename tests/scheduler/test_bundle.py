"""Bundles: only signed content runs."""

import hashlib
import io
import os
import stat
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from elastic.core.errors import UsageError
from elastic.db.stores.bundles import BundleRow, bundle, store_bundle
from elastic.scheduler.catalog.signed_bundle import (
    MAX_BYTES,
    BundleError,
    _signature,
    check,
    create,
    make_key,
    packed,
    read_keys,
    unpacked,
)
from elastic.scheduler.deployment import Deployment

SOURCE = """
from elastic import DAG
from elastic.operators import PythonOperator
from helper import told

with DAG("packed", start_date="2016-02-22") as dag:
    PythonOperator(task_id="only", python_callable=told)
"""


@pytest.fixture
def keys(home: Path) -> dict[str, bytes]:
    """A key that signs."""
    make_key(home / "bundle.key")
    return read_keys(home / "bundle.key")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of source."""
    place = tmp_path / "source"
    (place / ".hidden").mkdir(parents=True)
    (place / "packed.py").write_text(SOURCE)
    (place / "helper.py").write_text("def told():\n    print('from the bundle')\n")
    (place / ".hidden" / "secret.txt").write_text("not for others")
    return place


def _kept(digest: str) -> BundleRow:
    found = bundle(Deployment.of().database, digest, max_bytes=MAX_BYTES)
    assert found is not None
    return found


def test_a_process_without_the_files_runs_what_was_signed(folder: Path, home: Path, keys: dict[str, bytes]) -> None:
    digest = create(Deployment.of().database, folder, "packed:dag", keys)
    for path in folder.glob("*.py"):
        path.unlink()
    command = [sys.executable, "-m", "elastic", "run", "packed", "only", "2016-02-22", "--bundle", digest]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
    log = home / "logs/packed/only/2016-02-22T00:00:00"
    assert done.stdout == f"Logging into: {log}\n"
    assert "from the bundle" in log.read_text()


def test_the_same_files_are_the_same_bundle(folder: Path) -> None:
    first = packed(folder)
    os.utime(folder / "packed.py", (0, 0))
    (folder / "packed.py").chmod(0o755)
    assert packed(folder) == first
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert archive.namelist() == ["helper.py", "packed.py"]


def test_what_was_changed_or_signed_by_others_is_refused(folder: Path, keys: dict[str, bytes], home: Path) -> None:
    database = Deployment.of().database
    row = _kept(create(database, folder, "packed:dag", keys))
    check(row, row.digest, keys)
    middle = len(row.content) // 2
    changed = row.content[:middle] + bytes([row.content[middle] ^ 1]) + row.content[middle + 1 :]
    with pytest.raises(BundleError, match="was changed"):
        check(replace(row, content=changed), row.digest, keys)
    # with a matching digest, the signature does not match
    digest = hashlib.sha256(changed).hexdigest()
    for wrong in (
        replace(row, content=changed, digest=digest),
        replace(row, entry_point="helper:dag"),
        replace(row, signature="0" * 64),
    ):
        with pytest.raises(BundleError, match=r"bundle .* has an invalid signature"):
            check(wrong, wrong.digest, keys)
    make_key(home / "other.key")
    with pytest.raises(BundleError, match="untrusted signer"):
        check(row, row.digest, read_keys(home / "other.key"))
    with pytest.raises(BundleError, match="there is no bundle 'nope'"), unpacked(database, "nope", keys):
        pass


def test_a_bundle_can_be_signed_again(folder: Path, keys: dict[str, bytes], home: Path) -> None:
    database = Deployment.of().database
    digest = create(database, folder, "packed:dag", keys)
    make_key(home / "new.key")
    new = read_keys(home / "new.key")
    assert create(database, folder, "helper:told", new) == digest
    with unpacked(database, digest, new) as (_, file):
        assert file.name == "helper.py"
    with pytest.raises(BundleError, match="untrusted signer"), unpacked(database, digest, keys):
        pass


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../outside.py", stat.S_IFREG),
        ("/outside.py", stat.S_IFREG),
        ("a/../../outside.py", stat.S_IFREG),
        ("c:\\outside.py", stat.S_IFREG),
        ("link.py", stat.S_IFLNK),
        ("device.py", stat.S_IFCHR),
    ],
)
def test_what_would_leave_the_folder_is_refused_even_if_it_is_signed(
    name: str, kind: int, keys: dict[str, bytes], tmp_path: Path
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = (kind | 0o600) << 16
        archive.writestr(info, "/etc/passwd")
    row = _signed(buffer.getvalue(), keys)
    with pytest.raises(BundleError, match="invalid path"), unpacked(Deployment.of().database, row.digest, keys):
        pass


def test_what_would_fill_the_disk_is_refused(keys: dict[str, bytes]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.py", bytes(MAX_BYTES + 1))
    row = _signed(buffer.getvalue(), keys)
    with pytest.raises(BundleError, match="which is the maximum"), unpacked(Deployment.of().database, row.digest, keys):
        pass


def _signed(content: bytes, keys: dict[str, bytes]) -> BundleRow:
    ((signer, key),) = keys.items()
    digest = hashlib.sha256(content).hexdigest()
    signature = _signature(key, digest, "bomb:dag")
    row = BundleRow(digest=digest, signer=signer, signature=signature, entry_point="bomb:dag", content=content)
    store_bundle(Deployment.of().database, row)
    return row


def test_what_cannot_be_packed_is_refused(folder: Path, keys: dict[str, bytes]) -> None:
    database = Deployment.of().database
    with pytest.raises(UsageError, match=r"has no nope\.py"):
        create(database, folder, "nope:dag", keys)
    with pytest.raises(UsageError, match="invalid entry point"):
        create(database, folder, "packed", keys)
    (folder / "large.bin").write_bytes(bytes(MAX_BYTES))
    with pytest.raises(UsageError, match="is too large for a bundle"):
        create(database, folder, "packed:dag", keys)
    (folder / "large.bin").unlink()
    (folder / "link.py").symlink_to("/etc/passwd")
    with pytest.raises(UsageError, match="is a link"):
        create(database, folder, "packed:dag", keys)


def test_a_key_that_others_may_read_signs_nothing(home: Path, keys: dict[str, bytes]) -> None:
    (home / "bundle.key").chmod(0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        read_keys(home / "bundle.key")
    (home / "short.key").touch(0o600)
    (home / "short.key").write_text("abcd\n")
    with pytest.raises(UsageError, match="contains no key of 32 bytes"):
        read_keys(home / "short.key")
    with pytest.raises(UsageError, match="exists already"):
        make_key(home / "bundle.key")
