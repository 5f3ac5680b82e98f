"""The parser of `/proc/<process id>/stat`."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from elastic.core.process_stat import read_process_stat

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")


def test_brackets_and_blanks_in_the_name_of_a_command_do_not_shift_the_fields(tmp_path: Path) -> None:
    command = tmp_path / "a) Z 1 (b"
    command.symlink_to(str(shutil.which("sleep")))
    with subprocess.Popen([command, "60"]) as process:
        try:
            stat = read_process_stat(process.pid)
            assert "a) Z 1 (b" in Path(f"/proc/{process.pid}/stat").read_text()
            assert (stat.parent_id, stat.is_zombie, stat.is_stopped) == (os.getpid(), False, False)
            assert stat.started >= read_process_stat(os.getpid()).started
        finally:
            process.kill()


def test_stopped_processes_and_zombies_are_recognized() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        assert read_process_stat(process.pid).is_stopped
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert read_process_stat(process.pid).is_zombie
    with pytest.raises(FileNotFoundError):
        read_process_stat(process.pid)
