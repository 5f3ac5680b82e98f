"""Code beside the driver script, and how workers import it, also on nodes that do not see its folder."""

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

#: Limits of an archive: it contains source files only, and must not contain a whole disk by mistake.
_MAX_FILES = 2000
_MAX_BYTES = 20 << 20

_SKIPPED_FOLDERS = {"site-packages", "dist-packages", "node_modules", "venv", "env", "build", "dist", "__pycache__"}


@dataclass(frozen=True, slots=True)
class DriverCode:
    """Modules beside the driver script, for one worker."""

    #: Folders that the worker sees under the same paths as the driver.
    folders: tuple[str, ...] = ()
    #: Zip archive of the modules, for a worker that may not see the folders.
    archive: bytes = b""

    def install(self) -> None:
        """Make the modules importable in this process, after everything that is importable already."""
        sys.path += [folder for folder in self.folders if folder not in sys.path]
        if self.archive:
            handle, path = tempfile.mkstemp(prefix="elastic-code-", suffix=".zip")
            with os.fdopen(os.dup(handle), "wb") as file:
                file.write(self.archive)
            # Workers are killed without notice, so unlink the file now if `/proc` gives it another name (Linux).
            opened = Path(f"/proc/{os.getpid()}/fd/{handle}")
            if opened.exists():
                Path(path).unlink()
                path = str(opened)
            sys.path.append(path)


def driver_folders() -> list[Path]:
    """Return the folders from which the driver imports its own modules.

    They are the folders of `sys.path` that belong neither to Python nor to its libraries. The first one is the script's
    folder, or the working folder of `python -m` and of a prompt. Entries that libraries have prepended (Ray does) are
    in the libraries' folders.
    """
    paths = sysconfig.get_paths()
    libraries = [Path(paths[name]).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders = (folder for folder in map(Path.resolve, map(Path, sys.path)) if folder.is_dir())
    return [folder for folder in folders if not any(map(folder.is_relative_to, libraries))]


def archive_of(folder: Path) -> bytes:
    """Return a zip archive of the modules and packages in a folder, or empty bytes if there are none.

    Raises:
        UsageError: The folder contains more than `_MAX_FILES` modules or `_MAX_BYTES` bytes.
    """
    buffer, files, total = io.BytesIO(), 0, 0
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for files, path in enumerate(_sources(folder), 1):
            content = path.read_bytes()
            total += len(content)
            if files > _MAX_FILES or total > _MAX_BYTES:
                raise UsageError(
                    f"{folder} contains more than {_MAX_FILES} modules or {_MAX_BYTES >> 20} MiB of them, which is "
                    "too much to send to other nodes; run the driver script from a folder of its own."
                )
            archive.writestr(zipfile.ZipInfo(path.relative_to(folder).as_posix()), content)
    return buffer.getvalue() if files else b""


def _sources(folder: Path) -> Iterator[Path]:
    """Yield the modules of a folder and of its packages, except Elastic, which is installed on every node."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in _SKIPPED_FOLDERS or path.name == "elastic":
            continue
        if path.suffix == ".py" and path.is_file():
            yield path
        elif path.is_dir() and not path.is_symlink() and (path / "__init__.py").is_file():
            yield from _sources(path)
