"""Stored run: what the folder of a run says about it, as a value."""

import datetime as dt
import os
from collections.abc import Sequence
from dataclasses import dataclass

from elastic.core.contracts.store import StepRecord
from elastic.core.errors import ElasticError, StoreBusyError
from elastic.core.model.step import StepState
from elastic.persistence.home import Home
from elastic.persistence.run_store.inspection import RunReader
from elastic.persistence.run_store.sqlite_file import BUSY_SECONDS

#: State of a run whose first step has not begun, of one whose file is locked, and of one that cannot be read.
NOT_BEGUN, BUSY, UNREADABLE = "not_begun", "busy", "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """Summary of a run in a home folder; sums over its steps."""

    run_id: str
    #: name of its first step
    name: str = ""
    #: that of its first step that is not complete, else of its last; `not_begun` without steps, `busy` or `unreadable`
    state: str
    started_at: dt.datetime | None = None
    #: None while a step has not ended
    ended_at: dt.datetime | None = None
    steps: int = 0
    chunks: int = 0
    entries: int = 0
    #: bytes of the files in its folder
    bytes: int
    #: number of dead letters that are not redriven
    dead_letters: int = 0
    error: str | None = None

    @property
    def is_complete(self) -> bool:
        """True if every step is complete; then there is nothing to resume."""
        return self.state in (StepState.COMPLETE, StepState.COMPLETE_WITH_RETRIES)

    def __str__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"run {self.run_id}{name}: {self.state}, {self.entries:,} entries, {self.bytes:,} bytes"


def stored_run(home: Home, run_id: str, *, busy_seconds: float = BUSY_SECONDS) -> StoredRun:
    """Return the summary of a run. One that cannot be read has the state `unreadable`, and the reason as its error.

    Args:
        home: Folder of the runs.
        run_id: The run.
        busy_seconds: Seconds without access to its file after which its state is `busy`.

    Raises:
        UsageError: `run_id` is not a run id.
    """
    folder = home.run_folder(run_id)
    size = bytes_in(str(folder))
    try:
        reader = RunReader.read(folder, busy_seconds=busy_seconds)
        try:
            records = reader.steps()
            counts = [reader.snapshot(record.step) for record in records]
        finally:
            reader.close()
    except StoreBusyError as error:
        return StoredRun(run_id=run_id, state=BUSY, bytes=size, error=str(error))
    except (ElasticError, LookupError, TypeError, ValueError) as error:
        return StoredRun(run_id=run_id, state=UNREADABLE, bytes=size, error=str(error))
    if not records:
        return StoredRun(run_id=run_id, state=NOT_BEGUN, bytes=size)
    unfinished = [record for record in records if not StepState(record.state).is_complete]
    return StoredRun(
        run_id=run_id,
        name=records[0].name,
        state=(unfinished or records[-1:])[0].state,
        started_at=_instant(min(record.started_at for record in records)),
        ended_at=_end_of(records),
        steps=len(records),
        chunks=sum(record.counters.get("aggregated", 0) for record in records),
        entries=sum(record.counters.get("entries", 0) for record in records),
        bytes=size,
        dead_letters=sum(count.letters - count.redriven for count in counts),
        error=next((record.error for record in records if record.error is not None), None),
    )


def bytes_in(path: str) -> int:
    """Return the bytes of the files below a folder, without the targets of links; files that vanish count nothing."""
    total, folders = 0, [path]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total


def _end_of(records: Sequence[StepRecord]) -> dt.datetime | None:
    ends = [record.ended_at for record in records if record.ended_at is not None]
    return _instant(max(ends)) if len(ends) == len(records) else None


def _instant(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)
