"""The facts of an attempt, from the run that it belongs to."""

from elastic.dag.instance import Instance
from elastic.dag.interval import DataInterval
from elastic.db.value import Run


def facts_of(run: Run, task_id: str, map_index: int = -1, *, try_number: int = 1, attempt_uuid: str = "") -> Instance:
    """Return the facts of an attempt of a task in a run."""
    return Instance(
        dag_id=run.dag_id,
        run_id=run.run_id,
        task_id=task_id,
        map_index=map_index,
        try_number=try_number,
        attempt_uuid=attempt_uuid,
        logical_date=run.logical_date,
        data_interval=DataInterval(run.data_interval_start, run.data_interval_end),
        conf=dict(run.conf),
    )
