"""List of stored runs, newest first, in pages and with filters."""

from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass, replace
from itertools import takewhile
from threading import Lock

from elastic.core.errors import StoreError
from elastic.core.model.step import StepState
from elastic.persistence.home import RUN_FILE, Home
from elastic.persistence.stored_run import BUSY, NOT_BEGUN, UNREADABLE, StoredRun, stored_run
from elastic.run_views.open_step import PAGE_BUSY_SECONDS

#: Maximum number of runs that a page reads while it searches for matches.
MAX_READ = 400
_MAX_KEPT = 4_000
_MAX_NEAR = 5
#: Length of the date in a run id.
_DAY_CHARACTERS = 8

#: Groups of states for the filter.
STATES: dict[str, tuple[str, ...]] = {
    "running": (StepState.IN_PROGRESS, StepState.QUEUED, NOT_BEGUN, BUSY),
    "complete": (StepState.COMPLETE, StepState.COMPLETE_WITH_RETRIES),
    "failed": (StepState.ERROR, StepState.INTERRUPTED, StepState.SUSPENDED),
    "damaged": (UNREADABLE,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Filter of runs."""

    #: substring of the id or the name
    text: str = ""
    #: a key of `STATES`; empty for all
    state: str = ""
    #: only runs with dead letters
    has_letters: bool = False

    @property
    def is_empty(self) -> bool:
        return self == RunFilter()

    def accepts(self, run: StoredRun) -> bool:
        """Return whether a run matches."""
        text = self.text.strip().lower()
        if text and text not in run.run_id and text not in run.name.lower():
            return False
        if self.state and run.state not in STATES.get(self.state, ()):
            return False
        return not self.has_letters or run.dead_letters > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """Page of a list of runs."""

    runs: tuple[StoredRun, ...]
    #: id after which the next page starts; None on the last page
    after: str | None
    #: number of all runs
    total: int
    #: number of runs that were read for this page
    read: int


class RunList:
    """Reader of the runs in a home; it keeps the summaries of runs whose files have not changed.

    Args:
        home: The home.
        busy_seconds: Seconds that a read waits while another process has the file of a run locked.
    """

    def __init__(self, home: Home, *, busy_seconds: float = PAGE_BUSY_SECONDS) -> None:
        self._home, self._busy_seconds = home, busy_seconds
        self._lock = Lock()
        self._kept: OrderedDict[str, tuple[tuple[int, int], StoredRun]] = OrderedDict()

    def page(self, wanted: RunFilter, *, after: str | None = None, limit: int = 50) -> RunPage:
        """Return a page of the runs that pass a filter, newest first.

        Raises:
            StoreError: The folder of runs cannot be read.
        """
        run_ids = self._home.runs()
        start = 0 if after is None else bisect_left(run_ids, _Descending(after), key=_Descending)
        found: list[StoredRun] = []
        read, last = 0, after
        for run_id in run_ids[start:]:
            if run_id == after:
                continue
            if len(found) == limit or read == MAX_READ:
                return RunPage(runs=tuple(found), after=last, total=len(run_ids), read=read)
            last = run_id
            read += 1
            run = self._summary(run_id)
            if wanted.accepts(run):
                found.append(run)
        return RunPage(runs=tuple(found), after=None, total=len(run_ids), read=read)

    def summary(self, run_id: str) -> StoredRun | None:
        """Return the summary of a run, or None if its folder is not on this machine."""
        path = self._home.run_folder(run_id) / RUN_FILE
        return self._summary(run_id) if path.is_file() else None

    def near(self, run_id: str) -> list[str]:
        """Return runs whose ids are similar to an unknown one: with a common beginning, or of the same day."""
        try:
            run_ids = self._home.runs()
        except StoreError:
            return []
        if len(run_id) < _DAY_CHARACTERS:
            return [known for known in run_ids if run_id and known.startswith(run_id)][:_MAX_NEAR]
        same_day = [known for known in run_ids if known.startswith(run_id[:_DAY_CHARACTERS])]
        # Ids begin with the start time, so a longer common beginning means closer starts.
        return sorted(same_day, key=lambda known: -_common(known, run_id))[:_MAX_NEAR]

    def _summary(self, run_id: str) -> StoredRun:
        try:
            found = (self._home.run_folder(run_id) / RUN_FILE).stat()
            stamp = (found.st_mtime_ns, found.st_size)
        except OSError as error:
            return StoredRun(run_id=run_id, state=UNREADABLE, bytes=0, error=f"it cannot be read ({error.strerror})")
        with self._lock:
            kept = self._kept.get(run_id)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        try:
            run = stored_run(self._home, run_id, busy_seconds=self._busy_seconds)
        except (OSError, OverflowError) as error:
            run = StoredRun(run_id=run_id, state=UNREADABLE, bytes=found.st_size, error=f"it cannot be read ({error})")
        # Unfinished runs change without their file, by a rollback or a growing folder.
        if run.is_complete:
            with self._lock:
                self._kept[run_id] = (stamp, replace(run))
                while len(self._kept) > _MAX_KEPT:
                    self._kept.popitem(last=False)
        return run


def _common(one: str, other: str) -> int:
    """Return the length of the common beginning of two ids."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


class _Descending:
    """Key of a descending list for bisection."""

    def __init__(self, value: str) -> None:
        self.value = value

    def __lt__(self, other: "_Descending") -> bool:
        return self.value > other.value
