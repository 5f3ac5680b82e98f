"""The in-flight note of a step: a file in the folder of the run that lists chunks in flight and lost ones.

Its first line is a MAC with the run's key, the rest is JSON. The master replaces the whole file and does not sync it. A
power cut may lose the file; the end of the process alone does not.
"""

import contextlib
import os
from pathlib import Path

from elastic.core.errors import EncodingError
from elastic.core.model.chunk_location import InFlightNote
from elastic.persistence.durable_file import open_file, read_at, replacing
from elastic.persistence.run_store.json_text import read_json, write_json
from elastic.persistence.run_store.progress_row import row_mac

#: Maximum length of a note (bytes).
_MAX_BYTES = 64 << 20


def write_note(folder: Path, key: bytes, step: int, note: InFlightNote | None) -> None:
    """Replace the note of a step; None removes it. Ignore errors of the disk: the run needs no note."""
    path = _path(folder, step)
    with contextlib.suppress(OSError, EncodingError):
        if note is None:
            path.unlink(missing_ok=True)
            return
        data = write_json(note.plain(), "the note").encode()
        with replacing(path, is_durable=False, beside=path.with_suffix(".new")) as file:
            file.write(_mac(folder, key, step, data) + b"\n" + data)


def read_note(folder: Path, key: bytes, step: int) -> InFlightNote | None:
    """Return the note of a step, or None if the file is missing, damaged or not from this run."""
    try:
        file = open_file(_path(folder, step))
        try:
            mac, _, data = read_at(file, _MAX_BYTES, 0).partition(b"\n")
        finally:
            os.close(file)
        return InFlightNote.of(read_json(data.decode())) if mac == _mac(folder, key, step, data) else None
    except (OSError, EncodingError, ValueError, KeyError, TypeError):
        return None


def _path(folder: Path, step: int) -> Path:
    return folder / f"flight-{step:04}"


def _mac(folder: Path, key: bytes, step: int, data: bytes) -> bytes:
    return row_mac("flight", key, folder.name, (step, 0), data).hex().encode()
