"""Code beside the driver script: where workers find it, also on nodes that do not see its folder."""

import io
import os
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from elastic.core.errors import UsageError

#: What may be taken along: source files only, and not a whole disk by mistake.
_MAX_FILES = 2000
_MAX_BYTES = 20 << 20

_SKIPPED = {"site-packages", "dist-packages", "node_modules", "venv", "env", "build", "dist", "__pycache__"}


@dataclass(frozen=True, slots=True)
class DriverCode:
    """The modules beside the driver script, for one worker."""

    #: folders that the worker sees as the driver does
    folders: tuple[str, ...] = ()
    #: a zip archive of the modules, for a worker that may not see the folders
    archive: bytes = b""

    def install(self) -> None:
        """Make the modules importable in this process, behind everything that is importable already."""
        sys.path += [folder for folder in self.folders if folder not in sys.path]
        if self.archive:
            handle, path = tempfile.mkstemp(prefix="elastic-code-", suffix=".zip")
            with os.fdopen(os.dup(handle), "wb") as file:
                file.write(self.archive)
            # A worker is ended without being asked, so the file goes now, where it can be had by another name (Linux).
            opened = Path(f"/proc/{os.getpid()}/fd/{handle}")
            if opened.exists():
                Path(path).unlink()
                path = str(opened)
            sys.path.append(path)


def driver_folders() -> list[Path]:
    """Return the folders from which the driver imports its own modules.

    They are those of `sys.path` that are not Python's and its libraries'. The first is the script's folder, or the
    working folder of `python -m` and of a prompt; what libraries have put in front of it (Ray does) lies in theirs.
    """
    paths = sysconfig.get_paths()
    libraries = [Path(paths[name]).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders = (folder for folder in map(Path.resolve, map(Path, sys.path)) if folder.is_dir())
    return [folder for folder in folders if not any(map(folder.is_relative_to, libraries))]


def archive_of(folder: Path) -> bytes:
    """Return a zip archive of the modules and packages that lie in a folder, empty when there are none.

    Raises:
        UsageError: There is more than could be meant.
    """
    buffer, files, total = io.BytesIO(), 0, 0
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for files, path in enumerate(_sources(folder), 1):
            content = path.read_bytes()
            total += len(content)
            if files > _MAX_FILES or total > _MAX_BYTES:
                raise UsageError(
                    f"{folder} holds more than {_MAX_FILES} modules or {_MAX_BYTES >> 20} MiB of them, which is "
                    "too much to send to other nodes; run the driver script from a folder of its own."
                )
            archive.writestr(zipfile.ZipInfo(path.relative_to(folder).as_posix()), content)
    return buffer.getvalue() if files else b""


def _sources(folder: Path) -> Iterator[Path]:
    """Yield modules of a folder, and all modules of its packages; Elastic itself is installed on every node."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in _SKIPPED or path.name == "elastic":
            continue
        if path.suffix == ".py" and path.is_file():
            yield path
        elif path.is_dir() and not path.is_symlink() and (path / "__init__.py").is_file():
            yield from _sources(path)
