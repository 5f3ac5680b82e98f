"""Layer B: machines that lose power. `kill` cannot show this, because the system's cache survives it.

A scenario runs under strace. From its recorded writes and syncs, the test builds the disk as it may look after a power
failure at any moment: it has all synced data and any part of the rest, and the last write may be torn. Then a master
resumes the run, and nothing that was promised may be missing.
"""

import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.crash import Crashes
from tests.faults.simulated_flow import End, finish

ROOT = Path(__file__).parents[2]
_CALLS = "openat,write,pwrite64,ftruncate,fsync,fdatasync,unlink,unlinkat,rename,renameat,renameat2,mkdir,mkdirat,rmdir"
_LINE = re.compile(r"^(?:\d+ +)?(\w+)\((.*)\) += (-?\d+|\?)(?:<(.*?)>)?(.*)$")
_DESCRIPTOR = re.compile(r"^(\d+|AT_FDCWD)<(.*?)>(?:, )?")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True, slots=True)
class Call:
    """One system call that concerns the run's folder, or a promise."""

    name: str
    path: str = ""
    other: str = ""
    data: bytes = b""
    offset: int = 0
    failed: bool = False


def can_record() -> str | None:
    """Return the reason why calls cannot be recorded; None if they can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    probe = ["strace", "-qq", "-o", "/dev/null", "-e", "inject=fdatasync:error=EIO:when=1", "true"]
    return None if subprocess.run(probe, capture_output=True).returncode == 0 else "strace may not trace here"


def record(name: str, folder: Path, mutant: str = "none", inject: str | None = None) -> list[Call]:
    """Run a scenario, and return its calls on the folder and its promises, in order."""
    log = folder.with_suffix(".strace")
    folder.mkdir()
    command = ["strace", "-qq", "-y", "-xx", "-s", "100000000", "-o", str(log), "-e", f"trace={_CALLS}"]
    command += ["-e", f"inject={inject}"] if inject else []
    child = [sys.executable, "-m", "tests.faults.record", name, str(folder), mutant]
    done = subprocess.run([*command, *child], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"the recorded scenario ended with {done.returncode}: {done.stderr[-2000:]}")
    calls = list(_calls(log.read_text(), str(folder)))
    log.unlink()
    shutil.rmtree(folder)
    return calls


def first_sync_of_chunks(name: str, folder: Path) -> int:
    """Return the number of the first `fdatasync` of a scenario that makes a stored chunk durable."""
    syncs = [call.path for call in record(name, folder) if call.name == "sync" and call.other == "fdatasync"]
    return next(number for number, path in enumerate(syncs, 1) if "/chunks/" in path)


def _calls(log: str, folder: str) -> Iterator[Call]:
    for line in log.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        name, arguments, returned, opened, rest = match.groups()
        call = _call(name, arguments, opened or "", int(returned) < 0 or "INJECTED" in rest)
        if call is not None and (call.name == "promise" or call.path.startswith(folder)):
            yield call


def _call(name: str, arguments: str, opened: str, failed: bool) -> Call | None:
    texts = [_decoded(text) for text in _TEXT.findall(arguments)]
    descriptor = _DESCRIPTOR.match(arguments)
    path = _path(descriptor.group(2)) if descriptor else ""
    if name in ("write", "pwrite64") and descriptor:
        if descriptor.group(1) == "1":
            return Call("promise", data=texts[0])
        offset = int(arguments.rsplit(", ", 1)[1]) if name == "pwrite64" else -1
        return None if failed else Call("write", path, data=texts[0], offset=offset)
    if name == "ftruncate":
        return None if failed else Call("truncate", path, offset=int(arguments.rsplit(", ", 1)[1]))
    if name in ("fsync", "fdatasync"):
        return Call("sync", path, other=name, failed=failed)
    if failed:
        return None
    if name == "openat":
        return Call("create", _path(opened)) if "O_CREAT" in arguments else None
    kind = {"unlink": "remove", "unlinkat": "remove", "rmdir": "remove", "mkdir": "mkdir", "mkdirat": "mkdir"}
    if name in kind:
        return Call(kind[name], texts[0].decode())
    return Call("rename", texts[0].decode(), other=texts[1].decode())


def _decoded(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _path(text: str) -> str:
    return re.sub(r"(?:\\x[0-9a-f]{2})+", lambda match: _decoded(match.group(0)).decode(), text)


# -- the disk


@dataclass(eq=False, slots=True)
class Inode:
    """A file or folder: its durable content, and the operations since."""

    is_folder: bool = False
    durable: bytes = b""
    #: writes and truncations since the last sync
    pending: list[Call] = field(default_factory=list)
    #: folders: durable names, and all names
    kept: dict[str, "Inode"] = field(default_factory=dict)
    names: dict[str, "Inode"] = field(default_factory=dict)

    def sync(self) -> None:
        self.kept = dict(self.names)
        self.durable, self.pending = self.content(self.pending), []

    def content(self, calls: list[Call]) -> bytes:
        """Return the durable content after some calls."""
        content = bytearray(self.durable)
        for call in calls:
            if call.name == "truncate":
                content = content[: call.offset] + bytes(max(0, call.offset - len(content)))
            else:
                offset = len(content) if call.offset < 0 else call.offset
                content += bytes(max(0, offset + len(call.data) - len(content)))
                content[offset : offset + len(call.data)] = call.data
        return bytes(content)


class RecordedDisk:
    """A disk that executes recorded calls one by one."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.root = Inode(is_folder=True)
        self.promises: list[str] = []

    def do(self, call: Call) -> None:
        if call.name == "promise":
            self.promises += call.data.decode().splitlines()
            return
        above, name = self._place(call.path)
        if above is None:
            return
        inode = above.names.get(name) if name else self.root
        if call.name in ("create", "mkdir"):
            above.names.setdefault(name, Inode(is_folder=call.name == "mkdir"))
        elif call.name == "remove":
            above.names.pop(name, None)
        elif call.name == "rename":
            onto, other = self._place(call.other)
            if onto is not None and inode is not None:
                onto.names[other] = above.names.pop(name)
        elif inode is not None and call.name == "sync":
            if call.failed:
                inode.pending.clear()  # the system marked pages as written although it could not write them
            else:
                inode.sync()
        elif inode is not None:
            inode.pending.append(call)

    def build(self, folder: Path, rng: random.Random | None) -> None:
        """Create a folder as it may be after a power failure; without `rng`, no unsynced operation survives."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self._build(self.root, folder, rng)

    def _build(self, inode: Inode, path: Path, rng: random.Random | None) -> None:
        for name in sorted({**inode.kept, **inode.names}):
            is_new = rng is not None and rng.random() < 0.5
            child = (inode.names if is_new else inode.kept).get(name)
            if child is None:
                continue
            if child.is_folder:
                (path / name).mkdir(mode=0o700)
                self._build(child, path / name, rng)
            else:
                (path / name).write_bytes(child.content(_survived(child.pending, rng)))
                (path / name).chmod(0o600)

    def _place(self, path: str) -> tuple[Inode | None, str]:
        parts = [part for part in path.removeprefix(self._folder).split("/") if part]
        at: Inode | None = self.root
        for part in parts[:-1]:
            at = at.names.get(part) if at is not None else None
        return at, parts[-1] if parts else ""


def _survived(pending: list[Call], rng: random.Random | None) -> list[Call]:
    """Return some of the unsynced calls; a write may be torn, or leave zeros."""
    survived = []
    for call in pending if rng is not None else ():
        assert rng is not None
        chosen = rng.randrange(5)
        if chosen < 2:
            survived.append(call)
        elif chosen == 2 and call.name == "write":
            torn = call.data[: rng.randrange(len(call.data) + 1)]
            survived.append(Call("write", call.path, data=torn, offset=call.offset))
        elif chosen == 3 and call.name == "write" and call.offset >= 0:
            survived.append(Call("truncate", call.path, offset=-1))
    return [call for call in survived if call.offset != -1 or call.name == "write"]


def is_chunk_write(call: Call) -> bool:
    """Return whether a call writes stored chunks, which are not synced yet."""
    return call.name == "write" and "/chunks/" in call.path


# -- failures


def fail_power(
    name: str,
    folder: Path,
    *,
    stride: int = 1,
    times: int = 1,
    at: Callable[[Call], bool] = lambda call: True,
    seed: int = 0,
    mutant: str = "none",
    inject: str | None = None,
    resumed_with: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Crashes:
    """Let the power fail after every `stride`-th call of a scenario.

    What was not synced is all gone once, and `times` times some of it has survived.
    """
    told = folder / "told"
    calls, crashes, rng = record(name, told, mutant, inject), Crashes(), random.Random(seed)
    disk = RecordedDisk(str(told))
    for number, call in enumerate(calls):
        disk.do(call)
        crashes.known += 1
        if number % stride or not at(call):
            continue
        crashes.covered += 1
        for survivors in (None, *[rng] * times):
            disk.build(told, survivors)
            with resumed_with():
                end = finish(name, told) if (told / "home").exists() else End(not_begun=True)
            crashes.kills += 1
            crashes.ends.append(end)
            how = "nothing" if survivors is None else "a part"
            what = f"{name}, power lost after call {number} ({call.name}), {how} survived"
            crashes.problems += [f"{what}: {p}" for p in (*end.problems, *_broken(disk.promises, end))]
    return crashes


def _broken(promises: list[str], end: End) -> list[str]:
    """Return the broken promises."""
    low = max((int(line.split()[1]) for line in promises if line.startswith("low")), default=0)
    put = max((int(line.split()[1]) + 1 for line in promises if line.startswith("put")), default=0)
    if end.not_begun:
        return ["the run is not there, which had promised something"] if low or put else []
    broken = [f"the result goes to chunk {end.low}, and was said to be kept to chunk {low}"] if end.low < low else []
    if end.low < put:
        broken.append(f"the result goes to chunk {end.low}, and chunks were said to be kept to chunk {put}")
    return broken
