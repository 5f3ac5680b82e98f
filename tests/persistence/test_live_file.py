"""The live view of a running step: written while the run is watched, and refused when it was changed."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from elastic.core.errors import CorruptStoreError
from elastic.core.model.live_view import LiveSpan, LiveView
from elastic.persistence.run_store.live_file import MAX_BYTES, is_watched, read_live, watch, write_live
from elastic.persistence.run_store.progress_row import row_mac

KEY = bytes(range(32))
VIEW = LiveView(
    noted_at=1_800_000_000.5,
    expected_chunks=100,
    cut_chunks=40,
    spans=(
        LiveSpan(0, 10, "aggregated", None, 1),
        LiveSpan(10, 20, "processed", 1, 2),
        LiveSpan(20, 21, "sent", None, 1),
    ),
    omitted_spans=0,
    workers=("node-1/0", "<b>\udcff"),
    counters={"entries": 9, "sent": 21},
    chunks_per_second=4.5,
    entries_per_second=0.0,
)


def forged(folder: Path, body: bytes, *, step: int = 0, length: int | None = None, key: bytes = KEY) -> None:
    """Write a live file as an owner of the key could."""
    mac = row_mac("live", key, folder.name, (step, 0), body).hex().encode()
    size = len(body) if length is None else length
    (folder / "live").write_bytes(b"elastic live 1 %d %d %s\n" % (step, size, mac) + body)


def test_a_view_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_live(tmp_path, KEY, 3, VIEW)
    assert read_live(tmp_path, KEY, 3) == VIEW
    assert read_live(tmp_path, KEY, 0) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["live"]
    assert (tmp_path / "live").stat().st_mode & 0o777 == 0o600


def test_a_deleted_view_is_none(tmp_path: Path) -> None:
    write_live(tmp_path, KEY, 0, VIEW)
    write_live(tmp_path, KEY, 0, None)
    write_live(tmp_path, KEY, 0, None)
    assert read_live(tmp_path, KEY, 0) is None


def test_a_view_of_many_spans_fits_and_says_how_many_it_left_out(tmp_path: Path) -> None:
    spans = tuple(LiveSpan(10**12 + 2 * n, 10**12 + 2 * n + 1, "processed", 0, 1) for n in range(50_000))
    write_live(tmp_path, KEY, 0, replace(VIEW, spans=spans))
    found = read_live(tmp_path, KEY, 0)
    assert found is not None
    assert (tmp_path / "live").stat().st_size <= MAX_BYTES
    assert len(found.spans) + found.omitted_spans == 50_000
    assert found.spans == spans[: len(found.spans)]


def test_a_view_with_too_many_workers_is_not_written(tmp_path: Path) -> None:
    write_live(tmp_path, KEY, 0, replace(VIEW, workers=("w" * 100,) * 2_000))
    assert read_live(tmp_path, KEY, 0) is None


def test_a_folder_that_is_gone_is_ignored(tmp_path: Path) -> None:
    write_live(tmp_path / "gone", KEY, 0, VIEW)
    watch(tmp_path / "gone", 100.0)
    assert not is_watched(tmp_path / "gone", 100.0)


def test_a_run_is_watched_for_a_minute(tmp_path: Path) -> None:
    assert not is_watched(tmp_path, 1000.0)
    watch(tmp_path, 1000.0)
    assert is_watched(tmp_path, 1059.0)
    assert not is_watched(tmp_path, 1061.0)
    watch(tmp_path, 1005.0)
    assert (tmp_path / "watched").stat().st_mtime == 1000.0
    watch(tmp_path, 1020.0)
    assert is_watched(tmp_path, 1079.0)


def test_a_link_is_not_touched_for_watching(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.touch()
    os.utime(target, (1.0, 1.0))
    (tmp_path / "watched").symlink_to(target)
    watch(tmp_path, 1000.0)
    assert target.stat().st_mtime == 1.0
    assert not is_watched(tmp_path, 1.0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"elastic live 1 0 2 00\n{}",
        b"elastic live 2 0 2 00\n{}",
        b"elastic live 1 0 2\n{}",
        b"\xff" * 100,
        b"x" * (MAX_BYTES + 1),
        b"elastic live 1 0 " + b"9" * 5000 + b" 00\n{}",
    ],
)
def test_a_file_that_no_master_wrote_is_damaged(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "live").write_bytes(data)
    with pytest.raises(CorruptStoreError, match="is damaged: "):
        read_live(tmp_path, KEY, 0)


def test_a_changed_byte_a_missing_end_and_another_key_are_damage(tmp_path: Path) -> None:
    write_live(tmp_path, KEY, 0, VIEW)
    data = (tmp_path / "live").read_bytes()
    for changed in (data[:-1], data + b" ", data.replace(b'"entries": 9', b'"entries": 8')):
        (tmp_path / "live").write_bytes(changed)
        with pytest.raises(CorruptStoreError):
            read_live(tmp_path, KEY, 0)
    (tmp_path / "live").write_bytes(data)
    with pytest.raises(CorruptStoreError, match="digest"):
        read_live(tmp_path, bytes(32), 0)


def test_neither_a_link_nor_a_pipe_is_read(tmp_path: Path) -> None:
    (tmp_path / "live").symlink_to("/etc/hostname")
    with pytest.raises(CorruptStoreError):
        read_live(tmp_path, KEY, 0)
    (tmp_path / "live").unlink()
    os.mkfifo(tmp_path / "live")
    with pytest.raises(CorruptStoreError):
        read_live(tmp_path, KEY, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"spans": [[0, 10, "sent", None, 1], [9, 12, "sent", None, 1]]},
        {"spans": [[5, 5, "sent", None, 1]]},
        {"spans": [[-1, 5, "sent", None, 1]]},
        {"spans": [[0, 1 << 63, "sent", None, 1]]},
        {"spans": [[0, 5, "burnt", None, 1]]},
        {"spans": [[0, 5, "sent", 2, 1]]},
        {"spans": [[0, 5, "sent", None, 1.5]]},
        {"spans": [[0, 5, ["sent"], None, 1]]},
        {"spans": [[0, True, "sent", None, 1]]},
        {"spans": [[0]]},
        {"spans": 7},
        {"spans": [[n, n + 1, "sent", None, 1] for n in range(4_001)]},
        {"workers": [1]},
        {"workers": ["x" * 301]},
        {"counters": {"a": -1}},
        {"counters": {"a": "1"}},
        {"counters": [1]},
        {"counters": {str(n): n for n in range(201)}},
        {"noted_at": "now"},
        {"noted_at": float("nan")},
        {"chunks_per_second": float("inf")},
        {"entries_per_second": -1},
        {"expected_chunks": 1.0},
        {"cut_chunks": None},
    ],
)
def test_values_of_a_forged_view_are_checked(tmp_path: Path, change: dict[str, Any]) -> None:
    forged(tmp_path, json.dumps({**VIEW.plain(), **change}).encode())
    with pytest.raises(CorruptStoreError):
        read_live(tmp_path, KEY, 0)


@pytest.mark.parametrize("body", [b"[]", b"null", b"{", b"[" * 60_000, b'{"a":' * 10_000, b"\xff\xfe", b"{}"])
def test_a_forged_file_that_is_no_view_is_damaged(tmp_path: Path, body: bytes) -> None:
    forged(tmp_path, body)
    with pytest.raises(CorruptStoreError):
        read_live(tmp_path, KEY, 0)
