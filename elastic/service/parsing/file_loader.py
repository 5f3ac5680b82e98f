"""Loading of one DAG file in a forked child with limits, so that no file can harm the parser or keep it waiting."""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import struct
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from elastic.core.errors import ElasticError
from elastic.core.parent_death import signal_at_parent_death
from elastic.core.text import error_text
from elastic.dag.files.dag_file import ImportFailure, load, read_source
from elastic.dag.serialized_dag import from_dict
from elastic.db.stores.dags import DagRow, FoundDag
from elastic.executors.worker_process import exit_description
from elastic.scheduler.catalog.dag_catalog import found_dag

#: Option of prctl: become the parent of all orphaned descendants. Linux only.
_PR_SET_CHILD_SUBREAPER = 36

#: Seconds after the time limit of a file until its process is killed, in case the code ignores the limit.
_GRACE_SECONDS = 2.0

#: Maximum size of what a child sends (bytes).
_MAX_BYTES = 16 * 2**20

_BLOCK = 2**16

#: Header of a message: its length in bytes.
_LENGTH = struct.Struct("!Q")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParseLimits:
    """Limits of the process that loads one file."""

    #: seconds
    timeout: float
    #: bytes of address space beyond that of the parser
    memory: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedFile:
    """DAGs of a file, or the reason why it could not be loaded."""

    #: None if the file could not be loaded
    dags: tuple[FoundDag, ...] | None
    #: sentence, and the traceback if code failed; None if nothing did
    error: str | None = None
    #: whether the file imports modules of its own folders, so that their changes matter
    has_helpers: bool = False


#: Whether this process exists only to load files, so that all its children were left by their code.
_owns_all_children = False


def become_subreaper() -> None:
    """Let this process adopt all orphaned descendants, and let `load_file` end all children of this process.

    Only for a process that has no children of its own.
    """
    global _owns_all_children
    _owns_all_children = True
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def load_file(path: Path, root: Path, limits: ParseLimits) -> LoadedFile:
    """Load a DAG file in a child process and return its DAGs.

    Whatever the code of the file does, this function returns soon after the time limit. No process of the child's group
    is left; after `become_subreaper`, no process at all.
    """
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        _run_child(path, root, limits, theirs)
    os.close(theirs)
    try:
        sent, is_late = _read(ours, limits.timeout + _GRACE_SECONDS)
    finally:
        os.close(ours)
        status = _end(pid)
    if is_late:
        return _failed(path, f"loading it took longer than {limits.timeout:g} s, and its process was killed")
    if len(sent) > _MAX_BYTES:
        return _failed(path, f"its DAGs take more than {_MAX_BYTES:,} bytes")
    if not sent:
        how = exit_description(os.waitstatus_to_exitcode(status))
        return _failed(path, f"its process ended with {how} while the file was loaded")
    return _received(path, sent)


def _failed(path: Path, reason: str) -> LoadedFile:
    return LoadedFile(dags=None, error=f"{path}: {reason}")


def _received(path: Path, sent: bytes) -> LoadedFile:
    """Check what the child sent, because user code ran in it."""
    try:
        answer: Any = json.loads(sent)
        if answer["error"] is not None and answer["dags"] is None:
            return LoadedFile(dags=None, error=str(answer["error"]))
        dags = tuple(_checked(path, one) for one in answer["dags"])
        return LoadedFile(dags=dags, error=answer["error"], has_helpers=bool(answer["has_helpers"]))
    except (ElasticError, ValueError, TypeError, LookupError, RecursionError) as error:
        return _failed(path, f"its DAGs cannot be stored ({error_text(error)})")


def _checked(path: Path, one: Mapping[str, Any]) -> FoundDag:
    found = FoundDag(DagRow(**one["row"]), str(one["source"]), str(one["structure"]), is_reread=bool(one["is_reread"]))
    stored = from_dict(json.loads(found.structure))
    if (found.row.dag_id, found.row.fileloc) != (stored.dag_id, str(path)) or stored.fields["fileloc"] != str(path):
        raise ValueError("the structure names another DAG or file")
    return found


def _run_child(path: Path, root: Path, limits: ParseLimits, pipe: int) -> None:
    """Load the file and send the result; never return."""
    code = 1
    try:
        os.setsid()
        signal_at_parent_death(signal.SIGKILL)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        _isolate(limits)
        answer = json.dumps(_load(path, root, limits)).encode()
        with os.fdopen(pipe, "wb") as file:
            file.write(_LENGTH.pack(len(answer)) + answer)
        code = 0
    finally:
        os._exit(code)


def _isolate(limits: ParseLimits) -> None:
    """Limit the memory of this process, hide the database from user code, and drop printed output."""
    for name in [name for name in os.environ if name.startswith("ELASTIC__DATABASE__")]:
        del os.environ[name]
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = used + limits.memory
    wanted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, wanted))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    silent = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(silent, number)
    sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115


def _load(path: Path, root: Path, limits: ParseLimits) -> dict[str, Any]:
    try:
        source = read_source(path)
    except OSError as error:
        return {"dags": None, "error": f"{path}: it cannot be read ({error.strerror})"}
    found = load(source, root, limits.timeout)
    if isinstance(found, ImportFailure):
        text = f"{found}\n{found.traceback}" if found.traceback else str(found)
        return {"dags": None, "error": text.encode("utf-8", "backslashreplace").decode()}
    seen: dict[str, Any] = {}
    twice = None
    for dag in found:
        if dag.dag_id in seen:
            twice = f"{path}: its DAG {dag.dag_id!r} is defined twice; change one of the ids"
        else:
            seen[dag.dag_id] = dag
    dags = []
    for dag in seen.values():
        try:
            dags.append(asdict(found_dag(dag)))
        except (ElasticError, ValueError, TypeError, RecursionError) as wrong:
            return {"dags": None, "error": f"{path}: its DAG {dag.dag_id!r} cannot be stored ({error_text(wrong)})"}
    return {"dags": dags, "error": twice, "has_helpers": any(bool(dag.helpers) for dag in found)}


def _read(pipe: int, seconds: float) -> tuple[bytes, bool]:
    """Return the message of a child, and whether it came too late; an incomplete message counts as empty.

    Its length gives its end, because a process that the file started may keep the pipe open.
    """
    deadline, found, size = time.monotonic() + seconds, bytearray(), _LENGTH.size
    while len(found) < size:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            return b"", True
        part = os.read(pipe, _BLOCK)
        if not part:
            return b"", False
        found += part
        if size == _LENGTH.size <= len(found):
            size += min(_LENGTH.unpack_from(found)[0], _MAX_BYTES + 1)
    return bytes(found[_LENGTH.size : size]), False


def _end(pid: int) -> int:
    """Kill a child, its group and what `load_file` says; return its wait status."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    while orphans := _children() if _owns_all_children else []:
        for orphan in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(orphan, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(orphan, 0)
    return status


def _children() -> list[int]:
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return []
