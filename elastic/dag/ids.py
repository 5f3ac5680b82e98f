"""Names of DAGs, tasks, runs and pools, and keys of task instances."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from elastic.dag.errors import InvalidKeyError

#: Keys become file names and parts of URLs, so characters with a meaning there are excluded.
_KEY = re.compile(r"[A-Za-z0-9_.-]{1,250}", re.ASCII)


def check_key(kind: str, key: str) -> str:
    """Return `key` if it is a valid name.

    Args:
        kind: The kind of name, for the error message: "dag_id", "task_id", "pool".
        key: The name.

    Raises:
        InvalidKeyError: The name is empty, longer than 250 characters, `.` or `..`, or contains characters other than
            ASCII letters, digits, `_`, `-` and `.`.
    """
    if not isinstance(key, str) or not _KEY.fullmatch(key) or key in (".", ".."):
        raise InvalidKeyError(kind, key)
    return key


@dataclass(frozen=True, slots=True, order=True)
class TaskKey:
    """Key of a task instance."""

    dag_id: str
    run_id: str
    task_id: str
    #: number of the copy of a mapped task, from 0; -1 for a task that is not mapped
    map_index: int = -1

    @property
    def task_name(self) -> str:
        """Task, with the number of the copy if it is mapped: `load[3]`."""
        return f"{self.task_id}[{self.map_index}]" if self.map_index >= 0 else self.task_id

    def __str__(self) -> str:
        return f"{self.dag_id}.{self.task_name} of {self.run_id}"


def run_id_of(logical_date: datetime, run_type: str = "scheduled") -> str:
    """Return the id of the run of a logical date, in UTC, such as `scheduled_20160222T000000`."""
    instant = logical_date.astimezone(UTC)
    return f"{run_type}_{instant:%Y%m%dT%H%M%S}" + (f".{instant.microsecond:06}" if instant.microsecond else "")
