"""Location of the log of a task instance. Computing it does not need the DAG file."""

import datetime as dt
from pathlib import Path

from elastic.dag.ids import TaskKey
from elastic.dag.timetable.interval import LogicalDate


def log_path_at(logs: Path, key: TaskKey, logical_date: dt.datetime, zone: dt.tzinfo) -> Path:
    """Return the log file of an instance: `<logs>/<dag>/<task>/<iso date>`, plus `.<map index>` if it is mapped.

    Args:
        logs: Folder of all task logs.
        key: The instance.
        logical_date: Date of its run.
        zone: Time zone of the DAG, in which the date is written.
    """
    date = LogicalDate.of(logical_date, zone).replace(tzinfo=None).isoformat()
    copy = f".{key.map_index}" if key.map_index >= 0 else ""
    return logs / key.dag_id / key.task_id / (date + copy)
