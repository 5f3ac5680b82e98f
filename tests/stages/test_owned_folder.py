"""Temporary folders of killed processes are removed by the next one, and no others."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from elastic.stages.ray_backend.startup.owned_folder import (
    make_owned_folder,
    remove_abandoned_folders,
    remove_owned_folder,
)

OWNER = """
import os, sys
from pathlib import Path
from elastic.stages.ray_backend.startup.owned_folder import make_owned_folder

folder = make_owned_folder()
(folder / "ray" / "logs").mkdir(parents=True)
(folder / "ray" / "logs" / "log").write_text("words")
(folder / "latest").symlink_to(folder / "ray")
print(folder, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files that no other test uses."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def owner() -> Iterator["subprocess.Popen[str]"]:
    """A process that owns a folder until it is killed."""
    with subprocess.Popen([sys.executable, "-c", OWNER], stdin=-1, stdout=-1, text=True) as process:
        yield process
        process.kill()


def test_a_folder_of_a_killed_process_is_removed_by_the_next_that_makes_one(
    owner: "subprocess.Popen[str]", place: Path
) -> None:
    assert owner.stdout is not None
    left = Path(owner.stdout.readline().strip())
    folder = make_owned_folder()
    assert left.is_dir(), "its process lives"
    owner.kill()
    owner.wait()
    remove_owned_folder(make_owned_folder())
    assert list(place.iterdir()) == [folder]
    remove_owned_folder(folder)
    assert list(place.iterdir()) == []


def test_folders_that_name_no_owner_are_left_alone(place: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "owner"
    elsewhere.touch()
    for name in ("elastic-mine", "elastic-linked", "elastic-folder", "elastic-fifo", "other"):
        (place / name).mkdir()
    (place / "elastic-linked" / "owner").symlink_to(elsewhere)
    (place / "elastic-folder" / "owner").mkdir()
    os.mkfifo(place / "elastic-fifo" / "owner")
    (place / "other" / "owner").touch()
    (place / "elastic-file").touch()
    before = sorted(place.iterdir())
    remove_abandoned_folders()
    assert sorted(place.iterdir()) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_folder_of_another_user_is_left_alone(place: Path) -> None:
    folder = place / "elastic-theirs"
    folder.mkdir()
    (folder / "owner").touch()
    os.chown(folder / "owner", 65534, 65534)
    remove_abandoned_folders()
    assert folder.is_dir()


def test_a_fork_neither_removes_the_folder_of_its_parent_nor_keeps_it(place: Path) -> None:
    folder = make_owned_folder()
    gone_on, go_on = os.pipe()
    child = os.fork()
    if child == 0:
        remove_owned_folder(folder)
        os.write(go_on, b"x")
        signal.pause()
    os.read(gone_on, 1)
    assert folder.is_dir()
    remove_abandoned_folders()
    assert folder.is_dir(), "this process lives"
    remove_owned_folder(folder)
    assert not folder.exists()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
