"""Location of run folders: `<home>/runs/<run_id>/`."""

import datetime as dt
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from elastic.core.errors import StoreError, UnknownRunError, UsageError
from elastic.core.local_path import local_path

#: Name of the file of a run; a folder without it is not a run.
RUN_FILE = "run.sqlite"

#: Random bytes of a run id. An id also has the start time in units of 1/65,536 s: of 10,000 runs that start in one
#: second, two share an id with a probability of one in five million.
RANDOM_BYTES = 4

_RUN_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{12}", re.ASCII)
#: Run ids that an error message lists.
_MAX_LISTED = 5


def new_run_id(now: float, random_bytes: bytes) -> str:
    """Return the id of a run that starts at `now` (seconds since 1970), such as `20261120-231512-e6662c1b7d3e`.

    Ids sort by start time, with a resolution of 1/65,536 s.

    Raises:
        UsageError: `random_bytes` is not 4 bytes long, or `now` is outside the years 1 to 9999.
    """
    if len(random_bytes) != RANDOM_BYTES:
        raise UsageError(f"a run id needs {RANDOM_BYTES} random bytes, got {len(random_bytes)}.")
    try:
        start = dt.datetime.fromtimestamp(now, tz=dt.UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"invalid time {now!r} ({error}); it must be in seconds since 1970.") from error
    fraction = (start.microsecond << 16) // 1_000_000
    return f"{start.year:04}{start:%m%d-%H%M%S}-{fraction:04x}{random_bytes.hex()}"


@dataclass(frozen=True, slots=True)
class Home:
    """Folder with all runs of a user."""

    folder: Path

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Home":
        """Return the home that `ELASTIC_HOME` names, else `~/.elastic`, without creating it.

        A relative path counts from the working folder of the first call. That call makes the environment variable of
        this process absolute, so a later change of the working folder, here or in a child process, has no effect.

        Raises:
            UsageError: `ELASTIC_HOME` is a URL, or it is not set and the user has no home directory.
        """
        named = environment.get("ELASTIC_HOME") or "~/.elastic"
        try:
            folder = local_path("ELASTIC_HOME", named).expanduser().absolute()
        except RuntimeError as error:
            raise UsageError(f"invalid home {named!r} ({error}); set ELASTIC_HOME to a folder.") from error
        if environment is os.environ and named == environment.get("ELASTIC_HOME"):
            os.environ["ELASTIC_HOME"] = str(folder)
        return cls(folder)

    def run_folder(self, run_id: str) -> Path:
        """Return the folder of a run, which need not exist.

        Raises:
            UsageError: `run_id` is not a run id.
        """
        if _RUN_ID.fullmatch(run_id) is None:
            raise UsageError(f"invalid run id {run_id!r}; a run id looks like 20261120-231512-4f9a2c1b7d3e.")
        return self.folder / "runs" / run_id

    def runs(self) -> list[str]:
        """Return the ids of all runs, newest first.

        Raises:
            StoreError: The folder of runs cannot be read.
        """
        folder = self.folder / "runs"
        try:
            found = [path.name for path in folder.iterdir() if _RUN_ID.fullmatch(path.name)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"{folder} cannot be read ({error.strerror}); set ELASTIC_HOME to a folder.") from error
        return sorted((name for name in found if (folder / name / RUN_FILE).is_file()), reverse=True)

    def find(self, name: str) -> Path:
        """Return the folder of a run.

        Args:
            name: A run id, the beginning of one, or `last` for the newest run.

        Raises:
            UnknownRunError: No run matches.
            UsageError: `name` is empty, or several ids begin with it, which the message lists.
        """
        if not name:
            raise UsageError("the name of a run is missing; give its id, the beginning of its id, or `last`.")
        runs = self.runs()
        matching = runs[:1] if name == "last" else [run_id for run_id in runs if run_id.startswith(name)]
        if not matching:
            raise UnknownRunError(name, str(self.folder))
        if len(matching) > 1:
            more = f" and {len(matching) - _MAX_LISTED} more" if len(matching) > _MAX_LISTED else ""
            raise UsageError(
                f"{name!r} matches the runs {', '.join(matching[:_MAX_LISTED])}{more}; give more of the id."
            )
        return self.run_folder(matching[0])
