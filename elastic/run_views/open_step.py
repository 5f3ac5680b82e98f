"""A step of a stored run, open for reading; every way in which it can be missing, busy or damaged has its error."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from elastic.core.contracts.store import StepRecord
from elastic.core.errors import ElasticError, StoreBusyError, StoreError, UsageError
from elastic.core.model.step import StepState
from elastic.persistence.home import RUN_FILE, Home
from elastic.persistence.run_store.inspection import RunReader
from elastic.persistence.run_store.live_file import watch
from elastic.run_views.step_view import LiveSign, live_sign

#: Seconds that a page waits for a master that is writing.
PAGE_BUSY_SECONDS = 3.0
#: Errors that damaged or forged rows cause.
_DAMAGE = (ElasticError, LookupError, TypeError, ValueError, OverflowError)


class RunNotHereError(ElasticError, LookupError):
    """The folder of a run is not on this machine."""


class RunDamagedError(ElasticError):
    """The stored data of a run cannot be read."""


class NoSuchStepError(ElasticError, LookupError):
    """A run has no step of this number.

    Args:
        run_id: The run.
        step: The number.
        known: Numbers of its steps.
    """

    def __init__(self, run_id: str, step: int, known: tuple[int, ...]) -> None:
        super().__init__(run_id, step, known)
        self.run_id, self.step, self.known = run_id, step, known

    def __str__(self) -> str:
        if not self.known:
            return f"run {self.run_id} has no step {self.step}; it ended before its first step started."
        steps = "1 step" if len(self.known) == 1 else f"{len(self.known)} steps"
        return f"run {self.run_id} has no step {self.step}; it has {steps}, counted from 0."


@dataclass(slots=True, kw_only=True)
class OpenStep:
    """Step of a run that is open for reading."""

    home: Home
    folder: Path
    reader: RunReader
    record: StepRecord
    steps: tuple[int, ...]
    now: float
    #: sentences about damaged parts, for the page
    damages: list[str] = field(default_factory=list)
    sign: LiveSign = field(default_factory=LiveSign)

    @property
    def run_id(self) -> str:
        return self.folder.name

    @property
    def number(self) -> int:
        return self.record.step


def run_folder(home: Home, run_id: str) -> Path:
    """Return the folder of a run.

    Raises:
        RunNotHereError: The folder is not on this machine.
    """
    try:
        folder = home.run_folder(run_id)
    except UsageError as error:
        raise RunNotHereError(str(error)) from error
    if not (folder / RUN_FILE).is_file():
        raise RunNotHereError(f"run {run_id} has no folder below {home.folder / 'runs'}")
    return folder


@contextmanager
def open_step(
    home: Home, run_id: str, step: int, now: float, *, busy_seconds: float = PAGE_BUSY_SECONDS
) -> Iterator[OpenStep]:
    """Open a step of a run for reading, and ask its master for live views if it runs.

    Args:
        home: Folder of the runs.
        run_id: The run.
        step: Number of the step.
        now: The present time (seconds since 1970).
        busy_seconds: Seconds that a read waits while another process has the file of the run locked.

    Raises:
        RunNotHereError: The folder of the run is not here.
        StoreBusyError: Another process kept the file locked for longer.
        RunDamagedError: The run, or the record of the step, cannot be read.
        NoSuchStepError: The run has no such step.
    """
    folder = run_folder(home, run_id)
    try:
        reader = RunReader.read(folder, busy_seconds=busy_seconds)
    except _DAMAGE as error:
        raise _unreadable(error) from error
    try:
        yield _opened(home, folder, reader, step, now)
    except StoreError as error:
        raise _unreadable(error) from error
    finally:
        reader.close()


def _unreadable(error: Exception) -> ElasticError:
    """Return the error for a run that cannot be read: a busy one is not damaged."""
    return error if isinstance(error, StoreBusyError) else RunDamagedError(str(error))


def _opened(home: Home, folder: Path, reader: RunReader, step: int, now: float) -> OpenStep:
    numbers = reader.numbers()
    if step not in numbers:
        raise NoSuchStepError(folder.name, step, tuple(numbers))
    try:
        record = reader.record(step)
        StepState(record.state)
        if not math.isfinite(record.started_at) or not math.isfinite(record.ended_at or 0.0):
            raise ValueError(f"step {step} of run {folder.name} has an invalid time")
    except _DAMAGE as error:
        raise _unreadable(error) from error
    sign = live_sign(reader, record, now)
    if record.state == StepState.IN_PROGRESS:
        watch(folder, now)
    damages = [sign.damage] if sign.damage else []
    return OpenStep(
        home=home,
        folder=folder,
        reader=reader,
        record=record,
        steps=tuple(numbers),
        now=now,
        damages=damages,
        sign=sign,
    )
