"""Where runs lie: `<home>/runs/<run_id>/`."""

import datetime as dt
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from elastic.core.errors import StoreError, UnknownRunError, UsageError
from elastic.core.local_path import local_path

#: The file that makes a folder a run.
RUN_FILE = "run.sqlite"

#: Random bytes of a run id. With them, and the 65,536th part of a second in which it begins, 10,000 runs of one second
#: share an id once in five million times.
RANDOM_BYTES = 4

_RUN_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{12}", re.ASCII)
_SHOWN = 5


def new_run_id(now: float, random_bytes: bytes) -> str:
    """Return the id of a run that begins at `now` (seconds since 1970), such as `20261120-231512-e6662c1b7d3e`.

    Ids sort as the runs began, to the 65,536th part of a second.

    Raises:
        UsageError: `random_bytes` is not 4 bytes, or `now` is no time of the years 1 to 9999.
    """
    if len(random_bytes) != RANDOM_BYTES:
        raise UsageError(f"a run id takes {RANDOM_BYTES} random bytes, not {len(random_bytes)}.")
    try:
        began = dt.datetime.fromtimestamp(now, tz=dt.UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"{now!r} is not a time in seconds since 1970 ({error}).") from error
    fraction = (began.microsecond << 16) // 1_000_000
    return f"{began.year:04}{began:%m%d-%H%M%S}-{fraction:04x}{random_bytes.hex()}"


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that holds all runs of a user."""

    folder: Path

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Home":
        """Return the home that `ELASTIC_HOME` names, else `~/.elastic`. Nothing is created.

        A relative path counts from the working folder of the first call: the variable of this process becomes
        absolute then, so that a later change of the working folder, here or in a child process, leads nowhere else.

        Raises:
            UsageError: It is a URL, or the user has no home directory and `ELASTIC_HOME` is not set.
        """
        named = environment.get("ELASTIC_HOME") or "~/.elastic"
        try:
            folder = local_path("ELASTIC_HOME", named).expanduser().absolute()
        except RuntimeError as error:
            raise UsageError(f"{named!r} leads nowhere ({error}); set ELASTIC_HOME to a folder.") from error
        if environment is os.environ and named == environment.get("ELASTIC_HOME"):
            os.environ["ELASTIC_HOME"] = str(folder)
        return cls(folder)

    def run_folder(self, run_id: str) -> Path:
        """Return where a run lies or will lie.

        Raises:
            UsageError: `run_id` is not the id of a run.
        """
        if _RUN_ID.fullmatch(run_id) is None:
            raise UsageError(f"{run_id!r} is not a run id; one looks like 20261120-231512-4f9a2c1b7d3e.")
        return self.folder / "runs" / run_id

    def runs(self) -> list[str]:
        """Return the ids of all runs, the newest first.

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
        """Return the folder of the run with this id, of the only one whose id begins so, or of the `last` one.

        Raises:
            UnknownRunError: There is none.
            UsageError: `name` is empty, or several runs begin with it; names them.
        """
        if not name:
            raise UsageError("a run is named by its id, by the beginning of its id, or by `last`.")
        runs = self.runs()
        matching = runs[:1] if name == "last" else [run_id for run_id in runs if run_id.startswith(name)]
        if not matching:
            raise UnknownRunError(name, str(self.folder))
        if len(matching) > 1:
            more = f" and {len(matching) - _SHOWN} more" if len(matching) > _SHOWN else ""
            raise UsageError(f"{name!r} may be run {', '.join(matching[:_SHOWN])}{more}; give more of its id.")
        return self.run_folder(matching[0])
