"""Identity of one attempt: the value that travels between the scheduler and the process that runs the attempt."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from elastic.dag.ids import TaskKey
from elastic.dag.timetable.interval import DataInterval, utc


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptInfo:
    """Ids, dates and conf of one attempt. User code works with `TaskInstance`, which wraps it."""

    dag_id: str
    run_id: str
    task_id: str
    #: number of the copy of a mapped task, from 0; -1 for a task that is not mapped
    map_index: int = -1
    #: number of the attempt, from 1
    try_number: int = 1
    #: unique id of the attempt; pass it to other systems as a fencing token
    attempt_uuid: str = ""
    #: aware, in UTC
    logical_date: datetime
    data_interval: DataInterval
    #: parameters that the user gave to the run
    conf: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # In a local zone, the two instants of the repeated hour in autumn compare equal.
        object.__setattr__(self, "logical_date", utc(self.logical_date))

    @property
    def key(self) -> TaskKey:
        """Key of the task instance."""
        return TaskKey(self.dag_id, self.run_id, self.task_id, self.map_index)
