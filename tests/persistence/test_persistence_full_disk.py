"""A full disk loses nothing: a write that does not fit is refused as a whole, and succeeds once there is space."""

import subprocess
import sys
from pathlib import Path

import pytest
from persistence_samples import finish

SCRIPT = str(Path(__file__).with_name("persistence_full_disk.py"))

# A file system of a megabyte that ends with the process that mounted it.
SMALL = ["unshare", "--map-root-user", "--mount", "sh", "-c", 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"']


@pytest.fixture(scope="module")
def small_file_system(tmp_path_factory: pytest.TempPathFactory) -> None:
    try:
        subprocess.run([*SMALL, tmp_path_factory.mktemp("probe"), "true"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small file system cannot be mounted here")


@pytest.mark.parametrize("store", ["segment", "directory", "run"])
@pytest.mark.usefixtures("small_file_system")
def test_a_full_file_system_refuses_the_whole_and_takes_it_when_there_is_room(store: str, tmp_path: Path) -> None:
    story = [sys.executable, SCRIPT, store, str(tmp_path), "ballast"]
    assert finish([*SMALL, str(tmp_path), *story]) == ["told"]


@pytest.mark.parametrize("store", ["segment", "directory"])
@pytest.mark.usefixtures("small_file_system")
def test_room_that_a_run_has_set_aside_is_given_up_when_the_disk_is_full(store: str, tmp_path: Path) -> None:
    larger = [word.replace("size=1m", "size=40m") for word in SMALL]
    story = [sys.executable, SCRIPT, f"reserve-{store}", str(tmp_path), "ballast"]
    assert finish([*larger, str(tmp_path), *story]) == ["told"]


@pytest.mark.parametrize("store", ["segment", "directory", "run"])
def test_a_limit_on_files_refuses_the_whole_and_takes_it_when_it_is_lifted(store: str, tmp_path: Path) -> None:
    assert finish([sys.executable, SCRIPT, store, str(tmp_path), "rlimit"]) == ["told"]


def test_a_run_that_cannot_be_made_for_lack_of_room_says_so(tmp_path: Path, small_file_system: None) -> None:
    script = (
        "import os, sys; from pathlib import Path; from elastic.core.errors import StoreFullError\n"
        "from elastic.persistence.run_store.sqlite_store import SqliteRunStore\n"
        "folder = Path(sys.argv[1]); system = os.statvfs(folder)\n"
        "(folder / 'ballast').write_bytes(bytes(system.f_bavail * system.f_frsize))\n"
        "try: SqliteRunStore.create(folder / 'run', 'run', bytes(32))\n"
        "except StoreFullError as error: print(error)\n"
    )
    [message] = finish([*SMALL, str(tmp_path), sys.executable, "-c", script, str(tmp_path)])
    assert "No space left on device" in message
