"""Faults that need no cluster: a disk of 8 MB that is full, and runs of an older format."""

import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from elastic.core.errors import ElasticError
from elastic.engine.run import FlowRun, home_at
from elastic.run_history import RunHistory
from tests.faults.cluster_faults import Attacks

#: Half of a run of the version before links of batches; its chunks are files.
OLD_RUN = Path(__file__).with_name("format_1.tar.gz")

ROOT = Path(__file__).parents[2]

#: A file system that ends with the process that mounted it.
_SMALL = ["unshare", "--map-root-user", "--mount", "sh", "-c", 'mount -t tmpfs -o size=8m tmpfs "$0" && exec "$@"']


def fill_disk(attacks: Attacks, seeds: range) -> None:
    """Fill the disk of runs of a generator, and free space in three ways; see `full_disk.py`."""
    with tempfile.TemporaryDirectory(prefix="elastic-full-") as made:
        if subprocess.run([*_SMALL, made, "true"], capture_output=True, check=False).returncode:
            attacks.skipped.append("disk full: a small file system cannot be mounted here")
            return
        for seed in seeds:
            _fill(attacks, made, seed)


def _fill(attacks: Attacks, folder: str, seed: int) -> None:
    done = subprocess.run(
        [*_SMALL, folder, sys.executable, "-m", "tests.faults.full_disk", folder, str(seed)],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    told = done.stdout.splitlines()
    if done.returncode or not told:
        attacks.problems.append(f"disk full, seed {seed}: ended with {done.returncode}: {done.stderr[-1500:]}")
        return
    *kinds, entries, verdict = told
    attacks.runs += 1
    attacks.entries += int(entries)
    attacks.done.update(kinds)
    if verdict != "right":
        attacks.problems.append(f"disk full, seed {seed}: {verdict}")


def open_old_run(attacks: Attacks) -> None:
    """Open a run of an older format in all ways: each is refused with the version, and changes nothing."""
    with tempfile.TemporaryDirectory(prefix="elastic-old-") as made:
        home = Path(made)
        with tarfile.open(OLD_RUN) as kept:
            kept.extractall(home, filter="data")
        before = _files(home)
        attacks.done["run of an older format"] += 1
        for name, act in (
            ("resume", lambda: FlowRun.open(home, "last")),
            ("show", lambda: RunHistory(home_at(home)).steps(RunHistory(home_at(home)).find("last"))),
        ):
            try:
                act()
            except ElasticError as refused:
                if "format 1" in str(refused) and "use the version that created the run" in str(refused):
                    continue
                attacks.problems.append(f"an old run, {name}: {refused}")
            else:
                attacks.problems.append(f"an old run, {name}: was not refused")
        if _files(home) != before:
            attacks.problems.append("an old run: its files were changed")
        shutil.rmtree(home / "runs")


def _files(home: Path) -> dict[str, bytes]:
    # The lock names the last process that opened the run.
    return {str(path): path.read_bytes() for path in home.rglob("*") if path.is_file() and path.name != "lock"}
