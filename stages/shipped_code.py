"""Code beside the driver script: taken along to nodes that do not see its folder."""

import hashlib
import io
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from elastic.core.errors import UsageError

#: What may be taken along: source files only, and not a whole disk by mistake.
_MAX_FILES = 2000
_MAX_BYTES = 20 << 20

_SKIPPED = {"site-packages", "dist-packages", "node_modules", "venv", "env", "build", "dist", "__pycache__"}


def driver_folders() -> list[Path]:
    """Return the folders from which the driver imports its own modules: the script's, and the working folder."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    folders = [Path(script).resolve().parent] if script else []
    return [*folders, *([Path.cwd()] if "" in sys.path or not script else [])]


def collect(folders: Iterable[Path]) -> bytes:
    """Return a zip archive of the modules and packages that lie in `folders`, empty when there are none.

    Raises:
        UsageError: There is more than could be meant.
    """
    buffer, seen, total = io.BytesIO(), set[str](), 0
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for folder in folders:
            for path in _sources(folder):
                name = path.relative_to(folder).as_posix()
                if name in seen:
                    continue
                seen.add(name)
                content = path.read_bytes()
                total += len(content)
                if len(seen) > _MAX_FILES or total > _MAX_BYTES:
                    raise UsageError(
                        f"{folder} holds more than {_MAX_FILES} modules or {_MAX_BYTES >> 20} MiB of them, which is "
                        "too much to send to other nodes; run the driver script from a folder of its own"
                    )
                archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue() if seen else b""


def install(archive: bytes) -> None:
    """Make the modules of an archive importable in this process, behind everything that is importable already."""
    if not archive:
        return
    name = f"elastic-code-{hashlib.blake2b(archive, digest_size=8).hexdigest()}-"
    handle, path = tempfile.mkstemp(prefix=name, suffix=".zip")
    with os.fdopen(handle, "wb") as file:
        file.write(archive)
    sys.path.append(path)


def _sources(folder: Path) -> Iterator[Path]:
    """Yield modules of a folder, and all modules of its packages; Elastic itself is installed on every node."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in _SKIPPED or path.name == "elastic":
            continue
        if path.suffix == ".py" and path.is_file():
            yield path
        elif path.is_dir() and not path.is_symlink() and (path / "__init__.py").is_file():
            yield from _sources(path)
