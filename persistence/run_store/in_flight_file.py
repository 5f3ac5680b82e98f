"""The note of a step: a file beside the run that says which chunks were in flight, and what was lost.

Its first line is a seal with the run's key, the rest JSON. It is replaced as a whole and not synced: after a power cut
it may be gone, after the end of the process alone it is as it was written last.
"""

import contextlib
import os
from pathlib import Path

from elastic.core.errors import EncodingError
from elastic.core.ledger.chunk_locations import InFlightNote
from elastic.persistence.durable_file import open_file, read_at, replacing
from elastic.persistence.run_store.json_text import read_json, write_json
from elastic.persistence.run_store.progress_row import seal

#: A note that takes more is not read (bytes).
_MAX_BYTES = 64 << 20


def write_note(folder: Path, key: bytes, step: int, note: InFlightNote | None) -> None:
    """Replace the note of a step, or remove it. Whatever the disk says, the run goes on without one."""
    path = _path(folder, step)
    with contextlib.suppress(OSError, EncodingError):
        if note is None:
            path.unlink(missing_ok=True)
            return
        data = write_json(note.plain(), "the note").encode()
        with replacing(path, is_durable=False, beside=path.with_suffix(".new")) as file:
            file.write(_seal(folder, key, step, data) + b"\n" + data)


def read_note(folder: Path, key: bytes, step: int) -> InFlightNote | None:
    """Return the note of a step; None where there is none, or none that the run has written."""
    try:
        file = open_file(_path(folder, step))
        try:
            sealed, _, data = read_at(file, _MAX_BYTES, 0).partition(b"\n")
        finally:
            os.close(file)
        return InFlightNote.of(read_json(data.decode())) if sealed == _seal(folder, key, step, data) else None
    except (OSError, EncodingError, ValueError, KeyError, TypeError):
        return None


def _path(folder: Path, step: int) -> Path:
    return folder / f"flight-{step:04}"


def _seal(folder: Path, key: bytes, step: int, data: bytes) -> bytes:
    return seal("flight", key, folder.name, (step, 0), data).hex().encode()
