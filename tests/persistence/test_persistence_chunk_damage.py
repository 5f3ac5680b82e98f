"""A damaged chunk file is an error that names it, never a wrong or missing chunk."""

import os
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path

import pytest
from persistence_samples import OTHER_RUN, RUN, chunk_of, kept

from elastic.core.contracts.store import ChunkStore, StoredChunk
from elastic.core.errors import CorruptStoreError, StoreError, UsageError
from elastic.persistence.chunk_store.directory_store import DirectoryChunkStore
from elastic.persistence.chunk_store.segment_store import SegmentChunkStore

STEP = "chunks/step-0000"
FIRST = f"{STEP}/000000.segment"


def segments(folder: Path, run_id: str = RUN, step: int = 0) -> SegmentChunkStore:
    return SegmentChunkStore(folder, run_id, step)


def directory(folder: Path, run_id: str = RUN, step: int = 0) -> DirectoryChunkStore:
    return DirectoryChunkStore(folder, run_id, step)


def read_all(store: ChunkStore) -> list[int]:
    """Read every chunk, compare it with the stored one, and return the ids."""
    ids = list(store.unfinished())
    assert [store.get(chunk_id) for chunk_id in ids] == [chunk_of(chunk_id) for chunk_id in ids]
    return ids


def flips(data: bytes) -> Iterator[bytes]:
    for index in range(len(data)):
        for mask in (0x01, 0x80, 0xFF):
            yield data[:index] + bytes([data[index] ^ mask]) + data[index + 1 :]


@pytest.mark.parametrize(("store", "name"), [(segments, FIRST), (directory, f"{STEP}/token-1")])
def test_a_flip_of_any_byte_is_found(store: Callable[[Path], ChunkStore], name: str, tmp_path: Path) -> None:
    store(tmp_path).put(kept(0, 1, 2))
    good = (tmp_path / name).read_bytes()
    for bad in flips(good):
        (tmp_path / name).write_bytes(bad)
        with pytest.raises(StoreError, match=str(tmp_path / name)):
            read_all(store(tmp_path))


def test_a_segment_cut_at_any_length_gives_whole_chunks_and_takes_new_ones(tmp_path: Path) -> None:
    segments(tmp_path).put(kept(0, 1, 2))
    good = (tmp_path / FIRST).read_bytes()
    seen = set()
    for length in range(len(good)):
        (tmp_path / FIRST).write_bytes(good[:length])
        store = segments(tmp_path)
        ids = read_all(store)
        assert ids == list(range(len(ids)))
        store.put(kept(7))
        store.close()
        assert read_all(segments(tmp_path)) == [*ids, 7]
        segments(tmp_path).clean()
        (tmp_path / STEP).mkdir(parents=True)
        seen.add(len(ids))
    assert seen == {0, 1, 2}


def test_a_file_of_one_chunk_cut_at_any_length_is_found(tmp_path: Path) -> None:
    directory(tmp_path).put(kept(1))
    path = tmp_path / STEP / "token-1"
    good = path.read_bytes()
    for length in range(len(good)):
        path.write_bytes(good[:length])
        with pytest.raises(CorruptStoreError, match="token-1"):
            read_all(directory(tmp_path))


def test_a_segment_that_is_not_the_last_may_not_be_cut_short(tmp_path: Path) -> None:
    store = SegmentChunkStore(tmp_path, RUN, 0, segment_bytes=1)
    store.put(kept(0))
    store.put(kept(1))
    store.close()
    (tmp_path / FIRST).write_bytes((tmp_path / FIRST).read_bytes()[:-1])
    with pytest.raises(CorruptStoreError, match=r"000000\.segment, byte 0 .*ends inside a record"):
        list(segments(tmp_path).unfinished())


@pytest.mark.parametrize("garbage", [b"\x01", b"garbage" * 10, bytes(100) + b"x", b"ELCH" + b"\xff" * 40])
def test_garbage_behind_the_last_record_is_found(garbage: bytes, tmp_path: Path) -> None:
    store = segments(tmp_path)
    store.put(kept(0, 1))
    size = (tmp_path / FIRST).stat().st_size
    with (tmp_path / FIRST).open("ab") as file:
        file.write(garbage)
    with pytest.raises(CorruptStoreError, match=rf"byte {size} \(the chunk after chunk 1\)"):
        read_all(segments(tmp_path))
    (tmp_path / FIRST).unlink()
    directory(tmp_path).put(kept(0))
    with (tmp_path / STEP / "token-0").open("ab") as file:
        file.write(garbage)
    with pytest.raises(CorruptStoreError, match="token-0"):
        read_all(directory(tmp_path))


@pytest.mark.parametrize("count", [1, 22, 5000, 3 << 20])
def test_zeros_behind_the_last_record_are_space_that_was_never_written(count: int, tmp_path: Path) -> None:
    segments(tmp_path).put(kept(0, 1))
    with (tmp_path / FIRST).open("ab") as file:
        file.truncate((tmp_path / FIRST).stat().st_size + count)
    store = segments(tmp_path)
    assert read_all(store) == [0, 1]
    store.put(kept(2))
    assert read_all(segments(tmp_path)) == [0, 1, 2]


def test_what_an_interrupted_put_left_behind_is_not_in_the_way_of_the_next(tmp_path: Path) -> None:
    store = segments(tmp_path)
    store.put(kept(0, 1))
    with (tmp_path / FIRST).open("ab") as file:
        file.write(b"interrupted" * 100)
    store.put(kept(2))
    assert read_all(segments(tmp_path)) == [0, 1, 2]


def test_a_reader_leaves_a_torn_tail_for_the_master(tmp_path: Path) -> None:
    segments(tmp_path).put(kept(0))
    with (tmp_path / FIRST).open("ab") as file:
        file.write(b"ELC")
    before = (tmp_path / FIRST).read_bytes()
    assert read_all(SegmentChunkStore(tmp_path, RUN, 0, read_only=True)) == [0]
    assert (tmp_path / FIRST).read_bytes() == before


@pytest.mark.parametrize("owner", [(OTHER_RUN, 0), (RUN, 1)])
@pytest.mark.parametrize(("store", "name"), [(segments, FIRST), (directory, f"{STEP}/token-1")])
def test_a_record_of_another_run_or_step_is_refused(
    store: Callable[..., ChunkStore], name: str, owner: tuple[str, int], tmp_path: Path
) -> None:
    store(tmp_path / "there", *owner).put(kept(1))
    [foreign] = [path for path in (tmp_path / "there").rglob("*") if path.is_file()]
    (tmp_path / name).parent.mkdir(parents=True)
    foreign.rename(tmp_path / name)
    with pytest.raises(CorruptStoreError, match=f"got chunk 1 of run {owner[0]}, step {owner[1]}"):
        read_all(store(tmp_path))


def test_a_record_that_was_exchanged_after_opening_is_refused(tmp_path: Path) -> None:
    store = segments(tmp_path)
    store.put(kept(1))
    segments(tmp_path / "other").put(kept(2))
    (tmp_path / "other" / FIRST).rename(tmp_path / FIRST)
    with pytest.raises(CorruptStoreError, match=r"000000\.segment, byte 0 \(chunk 1\)"):
        store.get(1)
    (tmp_path / FIRST).unlink()
    with pytest.raises(CorruptStoreError, match="chunk 1"):
        store.get(1)


def test_a_renamed_or_copied_file_of_a_chunk_is_refused(tmp_path: Path) -> None:
    store = directory(tmp_path)
    store.put(kept(1))
    path = tmp_path / STEP / "token-1"
    path.rename(tmp_path / STEP / "token-9")
    with pytest.raises(CorruptStoreError, match="its record belongs to the name token-1"):
        read_all(directory(tmp_path))
    with pytest.raises(CorruptStoreError, match="is missing"):
        store.get(1)


def test_two_files_of_one_chunk_are_refused(tmp_path: Path) -> None:
    directory(tmp_path).put(kept(1))
    directory(tmp_path / "other").put([StoredChunk(chunk_of(1), "second")])
    (tmp_path / "other" / STEP / "second").rename(tmp_path / STEP / "second")
    with pytest.raises(CorruptStoreError, match="files second and token-1 both hold chunk 1"):
        read_all(directory(tmp_path))


def test_files_are_named_by_their_tokens_and_what_cannot_be_a_token_is_passed_over(tmp_path: Path) -> None:
    store = directory(tmp_path)
    store.put(kept(1, 2))
    assert sorted(path.name for path in (tmp_path / STEP).iterdir()) == ["token-1", "token-2"]
    (tmp_path / STEP / "token-3.new").write_text("half")
    (tmp_path / STEP / ".hidden").write_text("")
    again = directory(tmp_path)
    assert read_all(again) == [1, 2]
    again.put(kept(3))
    assert read_all(directory(tmp_path)) == [1, 2, 3]
    again.clean()
    assert [path.name for path in (tmp_path / STEP).iterdir()] == [".hidden"]


@pytest.mark.parametrize("token", ["", "../../escape", "a/b", ".", "..", "a\0b", "ä", "a\n", "x" * 129])
def test_a_token_that_could_leave_its_folder_is_refused(token: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="invalid token"):
        directory(tmp_path).put([*kept(1), StoredChunk(chunk_of(2), token)])
    assert list(tmp_path.iterdir()) == []


def test_two_chunks_with_one_token_are_refused(tmp_path: Path) -> None:
    store = directory(tmp_path)
    with pytest.raises(UsageError, match="same token"):
        store.put([StoredChunk(chunk_of(1), "t"), StoredChunk(chunk_of(2), "t")])
    store.put([StoredChunk(chunk_of(1), "t")])
    with pytest.raises(UsageError, match="same token"):
        store.put([StoredChunk(chunk_of(2), "t")])
    assert read_all(directory(tmp_path)) == [1]


@pytest.mark.parametrize("store", [segments, directory])
def test_files_and_folders_are_private_whatever_the_umask(store: Callable[[Path], ChunkStore], tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store(tmp_path / "run").put(kept(0, 1))
    finally:
        os.umask(before)
    modes = {path: (path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in (tmp_path / "run").rglob("*")}
    assert set(modes.values()) == {(True, 0o700), (False, 0o600)}


def test_a_link_in_the_place_of_a_segment_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    store = segments(tmp_path)
    assert list(store.unfinished()) == []
    (tmp_path / STEP).mkdir(parents=True)
    (tmp_path / FIRST).symlink_to(victim)
    with pytest.raises(StoreError, match=r"000000\.segment"):
        store.put(kept(1))
    assert not victim.exists()
    victim.write_text("mine")
    with pytest.raises(CorruptStoreError, match=r"000000\.segment"):
        read_all(segments(tmp_path))
    segments(tmp_path).clean()
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("name", ["token-1", "token-1.new"])
def test_a_link_in_the_place_of_a_chunk_is_not_followed(name: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    store = directory(tmp_path)
    assert list(store.unfinished()) == []
    (tmp_path / STEP).mkdir(parents=True)
    (tmp_path / STEP / name).symlink_to(victim)
    if name == "token-1":
        with pytest.raises(CorruptStoreError, match="token-1"):
            read_all(directory(tmp_path))
    store.put(kept(1))
    assert victim.read_text() == "mine"
    assert read_all(directory(tmp_path)) == [1]


def test_a_pipe_in_the_place_of_a_segment_does_not_hold_the_reader(tmp_path: Path) -> None:
    (tmp_path / STEP).mkdir(parents=True)
    os.mkfifo(tmp_path / FIRST)
    with pytest.raises(CorruptStoreError, match="not a regular file"):
        read_all(segments(tmp_path))
    (tmp_path / FIRST).unlink()
    (tmp_path / FIRST).mkdir()
    with pytest.raises(CorruptStoreError, match="not a regular file"):
        read_all(segments(tmp_path))


def test_a_segment_goes_when_all_its_chunks_are_deleted_and_it_is_not_appended_to(tmp_path: Path) -> None:
    store = SegmentChunkStore(tmp_path, RUN, 0, segment_bytes=1)
    for chunk_id in range(3):
        store.put(kept(chunk_id))
    store.delete([0, 2])
    assert sorted(path.name for path in (tmp_path / STEP).iterdir()) == ["000001.segment", "000002.segment"]
    store.put(kept(3))
    assert sorted(path.name for path in (tmp_path / STEP).iterdir()) == ["000001.segment", "000003.segment"]
    assert read_all(segments(tmp_path)) == [1, 3]


def test_a_record_of_a_newer_format_is_refused_as_such(tmp_path: Path) -> None:
    segments(tmp_path).put(kept(0))
    data = bytearray((tmp_path / FIRST).read_bytes())
    struct.pack_into(">H", data, 4, 2)
    struct.pack_into(">I", data, 18, zlib.crc32(data[:18]))
    (tmp_path / FIRST).write_bytes(data)
    with pytest.raises(StoreError, match="format 2, this version reads format 1") as raised:
        read_all(segments(tmp_path))
    assert not isinstance(raised.value, CorruptStoreError)


@pytest.mark.parametrize("sizes", [(0xFFFFFFFF, 0), (1 << 20, 1 << 60), (5, 5)])
def test_lengths_that_lie_allocate_nothing(sizes: tuple[int, int], tmp_path: Path) -> None:
    prefix = struct.pack(">4sHIQ", b"ELCH", 1, *sizes)
    (tmp_path / STEP).mkdir(parents=True)
    (tmp_path / STEP / "lies").write_bytes(prefix + struct.pack(">I", zlib.crc32(prefix)) + bytes(40))
    with pytest.raises(CorruptStoreError, match="lies"):
        read_all(directory(tmp_path))


def tuples_in_one_another(levels: int) -> bytes:
    """Return nested tuples that no writer makes: a recursive reader would need more than 8 MiB of stack."""
    body = b"\x90"
    for _ in range(levels):
        body = b"\x91\xc9" + struct.pack(">Ib", len(body), 1) + body
    return body


@pytest.mark.parametrize(
    "body",
    [b"\xc1", b"\x90", b"\x93\x01\x02\x03", b"\x9a" + b"\xc0" * 10, b"\xc7\xff\x7f", tuples_in_one_another(5000)],
)
def test_a_head_that_was_made_up_is_refused(body: bytes, tmp_path: Path) -> None:
    prefix = struct.pack(">4sHIQ", b"ELCH", 1, len(body), 0)
    prefix += struct.pack(">I", zlib.crc32(prefix))
    (tmp_path / STEP).mkdir(parents=True)
    (tmp_path / FIRST).write_bytes(prefix + body + blake2b(prefix + body, digest_size=16).digest())
    with pytest.raises(CorruptStoreError, match=rf"{FIRST}, byte 0 .*the header of a record"):
        read_all(segments(tmp_path))
