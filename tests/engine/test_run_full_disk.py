"""A full disk while a generator is read: the run waits for space, and loses nothing if there is none."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = str(Path(__file__).with_name("engine_full_disk.py"))

# A file system of 16 MB that ends with the process that mounted it.
SMALL = ["unshare", "--map-root-user", "--mount", "sh", "-c", 'mount -t tmpfs -o size=16m tmpfs "$0" && exec "$@"']


def told(folder: Path, how: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*SMALL, str(folder), sys.executable, SCRIPT, str(folder), how],
        capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> None:
    probe = [*SMALL, str(tmp_path_factory.mktemp("probe")), "true"]
    try:
        subprocess.run(probe, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small file system cannot be mounted here")


@pytest.mark.parametrize("how", ["makes_room", "waits"])
def test_a_full_disk_is_waited_for(how: str, tmp_path: Path) -> None:
    done = told(tmp_path, how)
    assert done.stdout.splitlines() == ["True 8000", "True"], done.stderr
    assert done.stderr.count("the disk is full, so the source is not read until there is space") == 1


@pytest.mark.parametrize("how", ["gives_up", "goes_on"])
def test_a_disk_that_stays_full_suspends_the_run_which_can_be_resumed(how: str, tmp_path: Path) -> None:
    done = told(tmp_path, how)
    suspended, *result = done.stdout.splitlines()
    assert suspended.startswith("StepSuspendedError: "), done.stderr
    assert "No space left on device" in suspended
    assert "run `elastic resume" in suspended
    assert result == ["True 8000", "True"]
