"""Last good sources: copies of the DAG files as they were last loaded, so that tasks go on when a file breaks.

The copies are files of this host, readable only by their owner. So write access to the database does not suffice to run
code.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from elastic.db.stores.dag_files import path_digest
from elastic.persistence.durable_file import make_folder


@dataclass(frozen=True, slots=True)
class LastGoodSources:
    """Folder with one copy for each DAG file that was loaded."""

    folder: Path

    @classmethod
    def of(cls, home: Path) -> "LastGoodSources":
        """Return the copies in a home folder."""
        return cls(home / "dag_sources")

    def keep(self, path: str, source: str) -> None:
        """Keep the source of a file that was just loaded. If that fails, a broken file stops its tasks.

        A reader sees the old or the new copy as a whole.
        """
        with contextlib.suppress(OSError):
            make_folder(self.folder, is_durable=False)
            new = self.folder / f"{path_digest(path)}.{os.getpid()}"
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(source)
            new.replace(self._place(path))

    def get(self, path: str) -> str | None:
        """Return the last good source of a file, or None."""
        try:
            return self._place(path).read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return None

    def forget(self, path: str) -> None:
        """Remove the copy of a file that is gone."""
        with contextlib.suppress(OSError):
            self._place(path).unlink(missing_ok=True)

    def _place(self, path: str) -> Path:
        return self.folder / f"{path_digest(path)}.py"
