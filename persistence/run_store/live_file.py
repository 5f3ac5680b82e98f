"""The live view of a running step: a file that the master replaces once a second while a reader watches the run.

A reader watches a run by touching `<run>/watched`. The master writes `<run>/live` only while that file is younger than
a minute, so an unwatched run costs one `lstat` a second. The first line of `live` has the step, the length of the
remainder and its MAC with the run's key; the remainder is JSON. The file is not synced, and no decision depends on it.
"""

import contextlib
import os
import stat
from dataclasses import replace
from hmac import compare_digest
from pathlib import Path

from elastic.core.errors import CorruptStoreError, EncodingError
from elastic.core.model.live_view import MAX_SPANS, LiveView
from elastic.persistence.durable_file import open_file, read_at, replacing
from elastic.persistence.run_store.json_text import read_json, write_json
from elastic.persistence.run_store.progress_row import row_mac

#: Maximum length of the file (bytes).
MAX_BYTES = 64 << 10
#: Seconds for which the master publishes views after a reader touched the file.
WATCH_SECONDS = 60.0
#: Seconds after which a reader touches the file again.
_TOUCH_INTERVAL = 15.0
_MAGIC = b"elastic live 1"
_HEAD_BYTES = 200


def watch(folder: Path, now: float) -> None:
    """Request live views from the master of a run for the next minute; ignore a read-only folder."""
    path = folder / "watched"
    with contextlib.suppress(OSError):
        with contextlib.suppress(FileNotFoundError):
            if 0 <= now - path.lstat().st_mtime < _TOUCH_INTERVAL:
                return
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        try:
            if stat.S_ISREG(os.fstat(file).st_mode):
                os.utime(file, (now, now))
        finally:
            os.close(file)


def is_watched(folder: Path, now: float) -> bool:
    """Return whether a reader asked for live views during the last minute."""
    try:
        found = (folder / "watched").lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and abs(now - found.st_mtime) < WATCH_SECONDS


def write_live(folder: Path, key: bytes, step: int, view: LiveView | None) -> None:
    """Replace the live view of a run; None removes it. Ignore disk errors: a run does not need the view."""
    path = folder / "live"
    with contextlib.suppress(OSError, EncodingError):
        if view is None:
            path.unlink(missing_ok=True)
            return
        data = _fitting(view)
        head = b"%s %d %d %s\n" % (_MAGIC, step, len(data), _mac(folder, key, step, data))
        with replacing(path, is_durable=False, beside=folder / "live.new") as file:
            file.write(head + data)


def read_live(folder: Path, key: bytes, step: int) -> LiveView | None:
    """Return the live view of a step, or None if there is none.

    Raises:
        CorruptStoreError: The file is damaged, or no master of the run wrote it.
    """
    path = folder / "live"
    try:
        file = open_file(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from error
    try:
        data = read_at(file, MAX_BYTES + 1, 0)
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from error
    finally:
        os.close(file)
    if len(data) > MAX_BYTES:
        raise _damaged(path, f"it is longer than {MAX_BYTES:,} bytes")
    head, _, body = data.partition(b"\n")
    fields = head.removeprefix(_MAGIC).split()
    if not head.startswith(_MAGIC + b" ") or len(fields) != 3:
        raise _damaged(path, "its first line is invalid")
    if fields[0] != b"%d" % step:
        return None
    if fields[1] != b"%d" % len(body):
        raise _damaged(path, f"it has {len(body):,} bytes, expected {fields[1][:20].decode(errors='replace')}")
    if not compare_digest(fields[2], _mac(folder, key, step, body)):
        raise _damaged(path, "its digest differs")
    try:
        return LiveView.of(read_json(body.decode()))
    except (EncodingError, ValueError) as error:
        raise _damaged(path, str(error)) from error


def _fitting(view: LiveView) -> bytes:
    """Return a view as JSON, with as many spans as fit."""
    while True:
        dropped = max(0, len(view.spans) - MAX_SPANS)
        view = replace(view, spans=view.spans[:MAX_SPANS], omitted_spans=view.omitted_spans + dropped)
        data = write_json(view.plain(), "the live view").encode()
        if len(data) <= MAX_BYTES - _HEAD_BYTES:
            return data
        if not view.spans:
            raise EncodingError("the workers do not fit into the live view")
        kept = len(view.spans) // 2
        view = replace(view, spans=view.spans[:kept], omitted_spans=view.omitted_spans + len(view.spans) - kept)


def _mac(folder: Path, key: bytes, step: int, data: bytes) -> bytes:
    return row_mac("live", key, folder.name, (step, 0), data).hex().encode()


def _damaged(path: Path, why: str) -> CorruptStoreError:
    return CorruptStoreError(f"{path} is damaged: {why}. A running master replaces it within a second.")
