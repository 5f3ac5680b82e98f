"""Layer B: disks that refuse a write or a sync, each of them in turn.

The error is put into the system calls of a child by strace. The child must end its run without another try; a master
that comes when the disk is mended goes on.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.faults.crash import Crashes
from tests.faults.power import ROOT
from tests.faults.simulated_flow import End, finish

#: Errors of a disk, with the calls that may return them.
REFUSALS = (("fdatasync", "EIO"), ("pwrite64", "EIO"), ("pwrite64", "ENOSPC"))


def refuse(name: str, folder: Path, call: str, error: str, stride: int = 1) -> Crashes:
    """Let every `stride`-th call of a kind fail once in a scenario, and resume it then."""
    crashes = Crashes(known=_told(name, folder / "first", call, None))
    for number in range(1 + (stride > 1), crashes.known + 1, stride):
        here = folder / f"{call}-{number}"
        _told(name, here, call, f"{call}:error={error}:when={number}")
        end = finish(name, here) if (here / "home").exists() else End(not_begun=True)
        crashes.covered += 1
        crashes.kills += 1
        crashes.ends.append(end)
        crashes.problems += [f"{name}, {error} from {call} {number}: {problem}" for problem in end.problems]
        shutil.rmtree(here)
    return crashes


def _told(name: str, folder: Path, call: str, inject: str | None) -> int:
    """Run a scenario under strace; return its number of calls of a kind."""
    folder.mkdir()
    log = folder.with_suffix(".strace")
    command = ["strace", "-qq", "-o", str(log), "-e", f"trace={call}", *(["-e", f"inject={inject}"] if inject else [])]
    child = [sys.executable, "-m", "tests.faults.record", name, str(folder), "none"]
    done = subprocess.run([*command, *child], cwd=ROOT, capture_output=True, text=True)
    # A run that could not be created raises an error as well, so the exit code is 0.
    if done.returncode != 0:
        raise RuntimeError(f"the scenario ended with {done.returncode}: {done.stderr[-2000:]}")
    calls = len(log.read_text().splitlines())
    log.unlink()
    return calls
