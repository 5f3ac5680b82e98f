"""Actions on a run in processes of their own: verify, resume and redrive, with a log in the folder of the run.

A page starts `python -m elastic.service.action_process`, which runs the command line, masks secrets in what it prints,
waits for it and writes how it ended. That process holds a lock on its file, so that a reader sees whether it is alive,
whatever happened to the page's process.
The files of an action are `<run>/actions/<id>.json`, `.lock`, `.log`, and `.out` for the output that programs read.
"""

import datetime as dt
import fcntl
import json
import os
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

from elastic.core.contracts.store import StepRecord
from elastic.core.errors import UsageError
from elastic.core.model.step import StepState
from elastic.core.text import lines, writable
from elastic.persistence.durable_file import create_file, make_folder, open_file, read_at, replacing, store_error
from elastic.persistence.home import Home

#: Name of the folder of actions in the run folder.
ACTIONS = "actions"
#: Module of the process of an action, in a higher layer, which knows the secrets of the installation.
_PROCESS = "elastic.service.action_process"
#: Maximum number of bytes that a page reads of each file.
MAX_FACTS, MAX_LOG, MAX_OUTPUT = 16 << 10, 64 << 10, 4 << 20
#: Maximum length of a log line (bytes); longer lines are masked in parts.
_MAX_LINE = 1 << 20
#: Seconds to wait for the end of the output after the command has ended.
_LAST_WORDS_SECONDS = 10.0
#: Maximum number of actions in a list.
MAX_LISTED = 50
_ID = re.compile(r"[0-9]{8}T[0-9]{6}-(verify|resume|redrive)-[0-9a-f]{6}", re.ASCII)


class ActionKind(StrEnum):
    """Kind of an action."""

    VERIFY = "verify"
    RESUME = "resume"
    REDRIVE = "redrive"


class ActionState(StrEnum):
    """State of an action."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    DIED = "died"  #: its process ended without a result


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAction:
    """One action on a step of a run."""

    action_id: str
    kind: ActionKind
    step: int
    #: user who started it
    owner: str
    started_at: dt.datetime
    ended_at: dt.datetime | None = None
    exit_code: int | None = None
    state: ActionState = ActionState.RUNNING


def refusal(kind: ActionKind, record: StepRecord, run_id: str, letters: int) -> str | None:
    """Return as one sentence why a step does not allow an action and what to do instead; None if it allows it."""
    if kind is ActionKind.VERIFY:
        return None
    is_complete = StepState(record.state).is_complete
    if kind is ActionKind.RESUME and is_complete:
        return "The step is complete, so there is nothing to resume."
    if kind is ActionKind.REDRIVE and not letters:
        return "The step has no dead letters to redrive."
    if kind is ActionKind.REDRIVE and not is_complete:
        return "The step is not complete; resume it before you redrive its dead letters."
    if record.manifest.get("target") is None or record.manifest.get("folder") is None:
        if record.manifest.get("task") is not None:
            return f"The run belongs to task {record.manifest['task']}; clear that task instance to {kind} it."
        command = "resume" if kind is ActionKind.RESUME else "dead-letters redrive"
        return f"A script started the run, so the flow is unknown here; run `elastic {command} {run_id} file.py:flow`."
    return None


def start(home: Home, run_id: str, kind: ActionKind, step: int, *, owner: str, now: dt.datetime) -> RunAction:
    """Start an action in a process of its own, and return it.

    Raises:
        UsageError: An action of the run is running.
        StoreError: The folder of the run cannot be written.
    """
    folder = home.run_folder(run_id) / ACTIONS
    action = RunAction(
        action_id=f"{now.astimezone(dt.UTC):%Y%m%dT%H%M%S}-{kind}-{secrets.token_hex(3)}",
        kind=kind,
        step=step,
        owner=writable(owner)[:200],
        started_at=now,
    )
    try:
        make_folder(folder, is_durable=False)
        # Two requests may ask at the same moment, also of two processes.
        turn = _locked(folder / "lock")
        try:
            _check_none_runs(home, run_id)
            process = _process_of(home, run_id, action)
        finally:
            os.close(turn)
    except OSError as error:
        raise store_error(error, folder) from error
    threading.Thread(target=process.wait, name=f"wait for {action.action_id}", daemon=True).start()
    return action


def _check_none_runs(home: Home, run_id: str) -> None:
    for action in actions_of(home, run_id):
        if action.state is ActionState.RUNNING:
            raise UsageError(
                f"{action.owner} started {action.kind} of run {run_id}, which still runs; wait for its end."
            )


def _process_of(home: Home, run_id: str, action: RunAction) -> subprocess.Popen[bytes]:
    """Start the process of an action, which holds the lock of the action until it ends."""
    folder = home.run_folder(run_id) / ACTIONS
    for ending in (".log", ".out"):
        os.close(create_file(folder / f"{action.action_id}{ending}"))
    lock = _locked(folder / f"{action.action_id}.lock")
    try:
        _write(folder, action)
        return subprocess.Popen(  # noqa: S603 - the command is made of checked ids
            [sys.executable, "-P", "-m", _PROCESS, str(lock), str(home.folder), run_id, action.action_id],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(lock,),
            start_new_session=True,
        )
    finally:
        os.close(lock)


def actions_of(home: Home, run_id: str) -> list[RunAction]:
    """Return the last actions of a run, newest first, without unreadable ones."""
    folder = home.run_folder(run_id) / ACTIONS
    try:
        names = sorted((path.stem for path in folder.iterdir() if path.suffix == ".json"), reverse=True)
    except OSError:
        return []
    found = [find(home, run_id, name) for name in names[:MAX_LISTED]]
    return [action for action in found if action is not None]


def find(home: Home, run_id: str, action_id: str) -> RunAction | None:
    """Return an action of a run, or None if there is none or its file is damaged."""
    if _ID.fullmatch(action_id) is None:
        return None
    folder = home.run_folder(run_id) / ACTIONS
    # Check the lock before reading the file: a process that ends in between has then written its result.
    is_alive = _is_locked(folder, action_id)
    try:
        facts = json.loads(_read(folder / f"{action_id}.json", MAX_FACTS, 0))
        action = _action(action_id, facts)
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    if action.exit_code is not None:
        return replace(action, state=ActionState.DONE if action.exit_code == 0 else ActionState.FAILED)
    return replace(action, state=ActionState.RUNNING if is_alive else ActionState.DIED)


def log_of(home: Home, run_id: str, action_id: str) -> str:
    """Return the end of the log of an action, without control characters."""
    return lines(_tail(home.run_folder(run_id) / ACTIONS / f"{action_id}.log", MAX_LOG).decode(errors="replace"))


def output_of(home: Home, run_id: str, action_id: str) -> dict[str, Any] | None:
    """Return the output of the command for programs, or None if it is not a JSON object."""
    try:
        found = json.loads(_read(home.run_folder(run_id) / ACTIONS / f"{action_id}.out", MAX_OUTPUT, 0))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def run_action(lock: int, home: Home, run_id: str, action_id: str, masked: Callable[[str], str]) -> None:
    """Run the command of an action to its end, and write the result.

    Args:
        lock: File descriptor of the lock, which stays open until then.
        home: Folder of all runs.
        run_id: The run.
        action_id: The action.
        masked: Returns a string without the secrets that the command may print.
    """
    folder = home.run_folder(run_id) / ACTIONS
    action = _action(action_id, json.loads(_read(folder / f"{action_id}.json", MAX_FACTS, 0)))
    is_printed = action.kind is ActionKind.VERIFY
    os.set_inheritable(lock, False)
    environment: Mapping[str, str] = {**os.environ, "ELASTIC_HOME": str(home.folder), "NO_COLOR": "1"}
    with (folder / f"{action_id}.log").open("ab") as log, (folder / f"{action_id}.out").open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - the command is made of checked ids
            [sys.executable, "-P", "-m", "elastic", *_command(action, run_id)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if is_printed else subprocess.STDOUT,
            env=environment,
        )
        copies = [
            threading.Thread(target=_copy, args=(source, file, masked), daemon=True)
            for source, file in ((process.stdout, output if is_printed else log), (process.stderr, log))
            if source is not None
        ]
        for copy in copies:
            copy.start()
        exit_code = process.wait()
        for copy in copies:
            # An orphaned process of the command may keep the pipe open.
            copy.join(_LAST_WORDS_SECONDS)
        _write(folder, replace(action, exit_code=exit_code, ended_at=dt.datetime.now(dt.UTC)))


def _copy(source: IO[bytes], file: IO[bytes], masked: Callable[[str], str]) -> None:
    """Copy the output of a process line by line, so that no secret is split before it is masked."""
    with source, suppress(OSError, ValueError):
        while line := source.readline(_MAX_LINE):
            file.write(masked(line.decode(errors="surrogateescape")).encode(errors="surrogateescape"))
            file.flush()


def _command(action: RunAction, run_id: str) -> list[str]:
    words = {
        ActionKind.VERIFY: ["verify"],
        ActionKind.RESUME: ["resume"],
        ActionKind.REDRIVE: ["dead-letters", "redrive"],
    }[action.kind]
    output = ["-o", "json"] if action.kind is ActionKind.VERIFY else []
    return [*words, run_id, "--step", str(action.step), *output]


def _action(action_id: str, facts: Any) -> RunAction:
    return RunAction(
        action_id=action_id,
        kind=ActionKind(facts["kind"]),
        step=_whole(facts["step"]),
        owner=str(facts["owner"])[:200],
        started_at=_time(facts["started_at"]),
        ended_at=None if facts["ended_at"] is None else _time(facts["ended_at"]),
        exit_code=None if facts["exit_code"] is None else _whole(facts["exit_code"]),
    )


def _whole(value: Any) -> int:
    if type(value) is not int or abs(value) >= 1 << 31:
        raise ValueError("expected a whole number")
    return value


def _time(text: Any) -> dt.datetime:
    found = dt.datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("expected a time with its zone")
    return found.astimezone(dt.UTC)


def _write(folder: Path, action: RunAction) -> None:
    facts = {
        name: value.isoformat() if isinstance(value, dt.datetime) else value
        for name, value in asdict(action).items()
        if name not in ("action_id", "state")
    }
    with replacing(folder / f"{action.action_id}.json", is_durable=False) as file:
        file.write(json.dumps(facts).encode())


def _locked(path: Path) -> int:
    """Open a file, which is created if it is missing, and wait for its lock, which ends with the file descriptor."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:
        os.close(file)
        raise
    return file


def _is_locked(folder: Path, action_id: str) -> bool:
    try:
        file = open_file(folder / f"{action_id}.lock")
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def _read(path: Path, longest: int, offset: int) -> bytes:
    file = open_file(path)
    try:
        return read_at(file, longest, offset)
    finally:
        os.close(file)


def _tail(path: Path, longest: int) -> bytes:
    with suppress(OSError):
        return _read(path, longest, max(0, path.lstat().st_size - longest))
    return b""
