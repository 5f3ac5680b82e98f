"""Conditions of a measurement: the machine, and the versions of the measured packages."""

import os
import platform
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.engine import ENGINES

ROOT = Path(__file__).resolve().parents[1]

#: Distributions of an engine whose names differ from those of its modules.
_ALSO = {"elastic local": ("ray",), "ray": ("ray",), "ray data": ("ray",), "pyspark": ("py4j",)}


def machine() -> str:
    """Describe this machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    parts = [f"{os.cpu_count()} x {_processor()}", f"{memory:.0f} GiB", _system()]
    return ", ".join(parts)


def versions(engines: Iterable[str]) -> str:
    """Describe the versions of Python, Elastic and the packages of the engines."""
    found = [f"CPython {platform.python_version()}", f"Elastic {_commit() or version('elastic-dataflow')}"]
    names = dict.fromkeys(name for key in engines for name in (*_ALSO.get(key, ()), *ENGINES[key].modules))
    for name in names:
        with suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    if "pyspark" in names:
        found.append(f"Java {_java()}")
    return ", ".join(found)


def load() -> tuple[float, float]:
    """Return the load average of the last minute, and the seconds of CPU that the host has stolen."""
    stolen = 0.0
    with suppress(OSError, IndexError):
        stolen = int(Path("/proc/stat").read_text().split()[8]) / os.sysconf("SC_CLK_TCK")
    return os.getloadavg()[0], stolen


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.platform(terse=True)


def _commit() -> str:
    git = ["git", "-C", str(ROOT)]
    commit = _first_line([*git, "describe", "--always"])
    # The page changes with every table that is written.
    same = [*git, "diff", "--quiet", "HEAD", "--", ".", ":!docs/internals/performance.md"]
    changed = commit and subprocess.run(same, check=False, stdout=subprocess.DEVNULL).returncode
    return f"{commit}, changed" if changed else commit


def _java() -> str:
    return _first_line(["java", "-version"]).replace('"', "").removeprefix("openjdk version ").split()[0]


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return (done.stdout.splitlines() or [""])[0]
