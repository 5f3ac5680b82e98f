"""The lock of a run: one master at a time, released by its death."""

import os
from pathlib import Path

import pytest
from persistence_samples import RUN, start

from elastic.core.errors import RunLockedError, StoreError
from elastic.persistence.run_store.lock import RunLock

HOLD = """
import sys
from pathlib import Path
from elastic.persistence.run_store.lock import RunLock
lock = RunLock(Path(sys.argv[1]), "run")
print("held", flush=True)
sys.stdin.read()
"""

# The child of the holder outlives it; it ends when the test closes the holder's standard input.
HOLD_AND_FORK = """
import os, sys
from pathlib import Path
from elastic.persistence.run_store.lock import RunLock
lock = RunLock(Path(sys.argv[1]), "run")
if os.fork() == 0:
    lock.release()
    os.write(1, b"child\\n")
    sys.stdin.read()
    os._exit(0)
os.write(1, b"held\\n")
os.waitpid(-1, 0)
"""

HOLD_AND_START = """
import subprocess, sys
from pathlib import Path
from elastic.persistence.run_store.lock import RunLock
lock = RunLock(Path(sys.argv[1]), "run")
subprocess.Popen(["cat"], close_fds=False)
print("held", flush=True)
print("child", flush=True)
import signal; signal.pause()
"""


def test_a_second_lock_is_refused_and_names_the_holder(tmp_path: Path) -> None:
    lock = RunLock(tmp_path, RUN)
    with pytest.raises(RunLockedError, match=rf"{RUN} is being worked on by process {os.getpid()} on "):
        RunLock(tmp_path, RUN)
    lock.release()


def test_a_released_lock_can_be_taken_again_and_released_twice(tmp_path: Path) -> None:
    first = RunLock(tmp_path, RUN)
    first.release()
    second = RunLock(tmp_path, RUN)
    first.release()
    with pytest.raises(RunLockedError):
        RunLock(tmp_path, RUN)
    second.release()


def test_another_process_is_kept_out_until_the_holder_is_killed(tmp_path: Path) -> None:
    with start(HOLD, tmp_path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunLockedError, match=f"process {holder.pid} on "):
            RunLock(tmp_path, RUN)
        holder.kill()
        holder.wait()
        RunLock(tmp_path, RUN).release()


@pytest.mark.parametrize("script", [HOLD_AND_FORK, HOLD_AND_START], ids=["fork", "exec"])
def test_a_child_that_outlives_the_holder_does_not_keep_the_lock(tmp_path: Path, script: str) -> None:
    with start(script, tmp_path) as holder:
        assert holder.stdout is not None
        assert {holder.stdout.readline(), holder.stdout.readline()} == {"held\n", "child\n"}
        with pytest.raises(RunLockedError):
            RunLock(tmp_path, RUN)
        holder.kill()
        holder.wait()
        RunLock(tmp_path, RUN).release()


def test_the_lock_file_is_private_and_never_reached_through_a_link(tmp_path: Path) -> None:
    RunLock(tmp_path, RUN).release()
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
    (tmp_path / "lock").unlink()
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "lock").symlink_to("victim")
    with pytest.raises(StoreError, match="lock"):
        RunLock(tmp_path, RUN)
    assert (tmp_path / "victim").read_text() == "mine"


def test_a_folder_that_is_not_there_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nowhere"):
        RunLock(tmp_path / "nowhere", RUN)


def test_a_holder_who_wrote_nonsense_is_another_process(tmp_path: Path) -> None:
    lock = RunLock(tmp_path, RUN)
    for text in (b"", b"\x1b[2J\xff"):
        (tmp_path / "lock").write_bytes(text)
        with pytest.raises(RunLockedError, match="by another process;"):
            RunLock(tmp_path, RUN)
    lock.release()
