"""Spill store in a folder: it keeps appended blocks of every writer, and removes files that no segment names."""

import os
import pickle
from pathlib import Path

import pytest

from elastic.core.errors import CorruptStoreError, StoreError, StoreFullError
from elastic.persistence.result_files.spill_files import FileSpillStore


@pytest.fixture
def spill_store(tmp_path: Path) -> FileSpillStore:
    made = FileSpillStore(tmp_path / "run" / "shards", 3)
    made.prepare()
    return made


def test_what_was_appended_is_read_at_its_place(spill_store: FileSpillStore) -> None:
    places = [(spill_store.append(data), data) for data in (b"first", b"", b"second")]
    for (name, start), data in places:
        assert spill_store.read(name, start, len(data)) == data
    assert {name for (name, _), _ in places} == {places[0][0][0]}
    spill_store.close()


def test_processes_append_to_files_of_their_own(spill_store: FileSpillStore) -> None:
    name, _ = spill_store.append(b"parent")
    child = os.fork()
    if child == 0:
        other, start = spill_store.append(b"child")
        os._exit(0 if other != name and start == 0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert spill_store.append(b" goes on") == (name, 6)
    copy = pickle.loads(pickle.dumps(spill_store))
    assert copy.append(b"a copy")[0] != name
    for each in (spill_store, copy):
        each.close()


def test_a_folder_without_the_mark_of_the_master_is_another_one(spill_store: FileSpillStore, tmp_path: Path) -> None:
    assert spill_store.readable
    assert spill_store.writable
    later = FileSpillStore(spill_store.folder, 4)
    assert not later.readable
    with pytest.raises(StoreError, match="is not the folder of the run on this host"):
        later.append(b"data")
    assert not FileSpillStore(tmp_path / "nowhere", 3).readable


def test_a_file_that_is_missing_or_too_short_is_named(spill_store: FileSpillStore) -> None:
    name, _ = spill_store.append(b"12345")
    with pytest.raises(CorruptStoreError, match=f"{name} ends at byte 5"):
        spill_store.read(name, 2, 10)
    spill_store.path(name).unlink()
    with pytest.raises(CorruptStoreError, match=f"{name} cannot be read"):
        spill_store.read(name, 0, 5)
    for strange in ("../../key", "piece-1-", "/etc/passwd"):
        with pytest.raises(CorruptStoreError, match="invalid name"):
            spill_store.read(strange, 0, 1)
    spill_store.close()


def test_a_link_in_place_of_a_file_is_refused(spill_store: FileSpillStore, tmp_path: Path) -> None:
    name, _ = spill_store.append(b"12345")
    (tmp_path / "other").write_bytes(b"abcde")
    spill_store.path(name).unlink()
    spill_store.path(name).symlink_to(tmp_path / "other")
    with pytest.raises(CorruptStoreError, match=f"{name} cannot be read"):
        spill_store.read(name, 0, 5)
    spill_store.close()


def test_files_are_for_their_owner_only(spill_store: FileSpillStore) -> None:
    name, _ = spill_store.append(b"data")
    with spill_store.create("result") as file:
        file.write(b"one")
        file.write(b"two")
    spill_store.write("manifest-3.json", b"{}")
    assert spill_store.read(file.name, 0, 6) == b"onetwo"
    assert spill_store.folder.stat().st_mode & 0o077 == 0
    for path in (spill_store.path(name), spill_store.path(file.name), spill_store.folder / "manifest-3.json"):
        assert path.stat().st_mode & 0o077 == 0
    spill_store.close()


def test_unused_files_are_removed_but_not_those_of_a_later_master(spill_store: FileSpillStore) -> None:
    used, unused = spill_store.append(b"used")[0], None
    with spill_store.create("result") as file:
        unused = file.name
    later = FileSpillStore(spill_store.folder, 4)
    later.prepare()
    theirs = later.append(b"theirs")[0]
    for epoch in (2, 3, 4):
        spill_store.write(f"manifest-{epoch}.json", b"{}")
    (spill_store.folder / "notes.txt").write_text("of somebody")
    spill_store.clean({used})
    left = {path.name for path in spill_store.folder.iterdir()}
    assert left == {used, theirs, "mark-3", "mark-4", "manifest-3.json", "manifest-4.json", "notes.txt"}
    assert unused not in left
    for each in (spill_store, later):
        each.close()


def test_a_file_whose_writer_failed_is_removed_and_takes_nothing_more(
    spill_store: FileSpillStore, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="of the writer"), spill_store.create("result") as file:
        file.write(b"one")
        raise ValueError("of the writer")
    assert not spill_store.path(file.name).exists()
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    with pytest.raises(OSError, match="Bad file descriptor"):
        file.write(b"two")
    assert os.fstat(other).st_size == 0
    os.close(other)


def test_a_full_disk_is_reported_with_the_file_that_found_it_full(spill_store: FileSpillStore) -> None:
    with pytest.raises(StoreFullError, match="no room"), spill_store.create("result"), spill_store.create("result"):
        raise StoreFullError("no room")
