"""Retention of runs: deletes the folders of old runs, and never one that is in use or that can be resumed.

A deletion takes the run's lock, renames the folder to a name that no listing shows, and then removes it. So a crash
leaves a whole run or none, and the next prune removes what is left. Links are removed, never followed.
"""

import datetime as dt
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from elastic.core.errors import RunLockedError, StoreError, UnknownRunError, UsageError
from elastic.core.model.step import StepState
from elastic.persistence.durable_file import store_error, sync_folder
from elastic.persistence.home import Home
from elastic.persistence.run_store.lock import RunLock
from elastic.persistence.stored_run import BUSY, NOT_BEGUN, UNREADABLE, StoredRun, bytes_in, stored_run

#: Beginning of the name of a folder that is being deleted; no run id begins so.
_TRASH = ".deleted-"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """Runs that a prune keeps: young ones and the last ones. Runs that can be resumed stay in any case."""

    #: age since the end of a run below which it stays; None to disregard the age
    keep: dt.timedelta | None = None
    #: number of newest runs that stay, of any state; None to disregard the number
    keep_last: int | None = None

    def __post_init__(self) -> None:
        if self.keep is None and self.keep_last is None:
            raise UsageError("nothing says which runs to keep; give keep (such as 30d), keep_last, or both.")
        if self.keep is not None and not (isinstance(self.keep, dt.timedelta) and self.keep >= dt.timedelta(0)):
            raise UsageError(f"keep={self.keep!r} must be a duration of at least 0, such as 30d.")
        if self.keep_last is not None and (type(self.keep_last) is not int or self.keep_last < 0):
            raise UsageError(f"keep_last={self.keep_last!r} must be a whole number from 0.")

    def keeps(self, rank: int, last_sign: dt.datetime, now: dt.datetime) -> bool:
        """Return whether a run stays.

        Args:
            rank: Number of newer runs.
            last_sign: Its end, or its start.
            now: The present time.
        """
        if self.keep_last is not None and rank < self.keep_last:
            return True
        return self.keep is not None and now - last_sign < self.keep


@dataclass(frozen=True, slots=True)
class KeptRun:
    """An old run that a prune did not delete."""

    run: StoredRun
    #: clause, such as "it is suspended and can be resumed"
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedRuns:
    """What a prune deleted, or would delete."""

    deleted: tuple[StoredRun, ...]
    #: old runs that it did not delete; recent runs are not listed
    kept: tuple[KeptRun, ...]
    #: bytes that deletions which a crash ended had left
    leftover_bytes: int
    dry_run: bool

    @property
    def bytes(self) -> int:
        """Bytes of the deleted runs."""
        return sum(run.bytes for run in self.deleted)

    def __str__(self) -> str:
        verb = "would delete" if self.dry_run else "deleted"
        text = f"{verb} {_runs(len(self.deleted))}, {self.bytes:,} bytes"
        if self.kept:
            text += f"; {_runs(len(self.kept))} stayed"
        if self.leftover_bytes:
            text += f"; {self.leftover_bytes:,} bytes left by earlier deletions"
        return text


def prune(home: Home, policy: RetentionPolicy, *, now: dt.datetime, dry_run: bool = False) -> PrunedRuns:
    """Delete the complete runs that a policy does not keep, and the remains of earlier deletions.

    Args:
        home: Folder of the runs.
        policy: Runs to keep.
        now: The present time.
        dry_run: Only report what would be deleted.

    Raises:
        StoreError: The home cannot be read, or a folder cannot be removed.
    """
    deleted: list[StoredRun] = []
    kept: list[KeptRun] = []
    for run in _old_runs(home, policy, now):
        reason = obstacle(home, run)
        if reason is None and not dry_run:
            try:
                run, reason = _remove(home, run.run_id, force=False)
            except UnknownRunError:
                continue  # another process deleted it
            except RunLockedError as locked:
                reason = f"{locked.holder} works on it"
            except StoreError as error:
                if not home.run_folder(run.run_id).exists():
                    raise
                reason = f"it cannot be removed ({error})"  # and the others can
        if reason is None:
            deleted.append(run)
        else:
            kept.append(KeptRun(run, reason))
    leftover = _clear_trash(home, dry_run=dry_run)
    return PrunedRuns(deleted=tuple(deleted), kept=tuple(kept), leftover_bytes=leftover, dry_run=dry_run)


def delete(home: Home, run_ids: Iterable[str], *, force: bool = False) -> list[StoredRun]:
    """Delete runs, or none of them if one cannot be deleted.

    Args:
        home: Folder of the runs.
        run_ids: Ids of existing runs.
        force: Delete runs that can be resumed, hold dead letters or cannot be read as well.

    Raises:
        UsageError: A run stays without `force`; the message says why.
        RunLockedError: A process works on a run.
        StoreError: A folder cannot be removed.
    """
    runs = [stored_run(home, run_id) for run_id in dict.fromkeys(run_ids)]
    for run in runs:
        _check_no_link(home.run_folder(run.run_id))
        if not force and (reason := obstacle(home, run)) is not None:
            raise _refusal(run.run_id, reason)
        RunLock(home.run_folder(run.run_id), run.run_id).release()  # raises for a run that is in use
    deleted = []
    for run in runs:
        found, reason = _remove(home, run.run_id, force=force)
        if reason is not None:
            raise _refusal(run.run_id, reason)
        deleted.append(found)
    _clear_trash(home, dry_run=False)
    return deleted


def obstacle(home: Home, run: StoredRun) -> str | None:
    """Return the reason why a run is deleted only on request, as a clause; None if there is none."""
    if home.run_folder(run.run_id).is_symlink():
        return "its folder is a link"
    if run.state == UNREADABLE:
        return "it cannot be read"
    if run.state == BUSY:
        return "another process keeps its file locked"
    if run.state == NOT_BEGUN:
        return "none of its steps has begun"
    if not run.is_complete:
        how = "ended in error" if run.state == StepState.ERROR else f"is {run.state.replace('_', ' ')}"
        return f"it {how} and can be resumed"
    if run.dead_letters:
        many = "dead letter that is" if run.dead_letters == 1 else "dead letters that are"
        return f"it holds {run.dead_letters:,} {many} not redriven"
    return None


def _refusal(run_id: str, reason: str) -> UsageError:
    return UsageError(f"run {run_id} was not deleted, because {reason}; give --force (force=True) to delete it.")


def _old_runs(home: Home, policy: RetentionPolicy, now: dt.datetime) -> Iterator[StoredRun]:
    for rank, run_id in enumerate(home.runs()):
        started_at = dt.datetime.strptime(run_id[:15], "%Y%m%d-%H%M%S").replace(tzinfo=dt.UTC)
        # The id alone keeps most runs, without opening their files.
        if not policy.keeps(rank, started_at, now):
            run = stored_run(home, run_id)
            if not policy.keeps(rank, run.ended_at or run.started_at or started_at, now):
                yield run


def _remove(home: Home, run_id: str, *, force: bool) -> tuple[StoredRun, str | None]:
    """Delete a run, and return it as it was; or return the reason why it stays.

    Raises:
        UnknownRunError: The run is gone.
        RunLockedError: A process works on it.
        StoreError: The folder cannot be renamed or removed.
    """
    folder = home.run_folder(run_id)
    _check_no_link(folder)
    if not folder.is_dir():
        raise UnknownRunError(run_id, str(home.folder))
    lock = RunLock(folder, run_id)
    trash = folder.with_name(f"{_TRASH}{run_id}-{secrets.token_hex(4)}")
    try:
        run = stored_run(home, run_id)  # again, because a master may have worked on it before the lock
        reason = None if force else obstacle(home, run)
        if reason is not None:
            return run, reason
        folder.rename(trash)
        sync_folder(trash.parent)
    except OSError as error:
        raise store_error(error, folder) from error
    finally:
        # A master that has opened the lock, and gets it now, finds no run. A network file system keeps a file that is
        # open, and so its folder.
        lock.release()
    _remove_tree(trash)
    return run, None


def _check_no_link(folder: Path) -> None:
    if folder.is_symlink():
        raise StoreError(f"{folder} is a link; remove the link, and its target, by hand.")


def _clear_trash(home: Home, *, dry_run: bool) -> int:
    """Remove the folders that deletions left; return their bytes."""
    folder = home.folder / "runs"
    try:
        left = [path for path in folder.iterdir() if path.name.startswith(_TRASH)]
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise store_error(error, folder) from error
    total = 0
    for path in left:
        total += 0 if path.is_symlink() else bytes_in(str(path))
        if not dry_run:
            _remove_tree(path)
    return total


def _remove_tree(path: Path) -> None:
    """Remove a folder with all that is in it; of a link, only the link. Another process may do the same.

    Raises:
        StoreError: A file cannot be removed.
    """
    while os.path.lexists(path):
        try:
            if path.is_symlink() or not path.is_dir():
                path.unlink()
            else:
                shutil.rmtree(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise store_error(error, path) from error


def _runs(count: int) -> str:
    return f"{count:,} run{'s' * (count != 1)}"
