"""Store of workers: the queues that living workers serve, and how many more tasks they take."""

from collections import Counter
from collections.abc import Mapping

from sqlalchemy import func, select

from elastic.dag.states.state import TaskState
from elastic.db.database import Database
from elastic.db.schema import dag_run, task_instance
from elastic.db.stores.jobs import MASTER_JOB, WORKER_JOB, living_jobs

_ti = task_instance.c

#: Task instances that are queued for each place of a worker, so that a worker has a next task when one ends.
_QUEUED_PER_PLACE = 2

_ACTIVE = (
    select(_ti.queue, func.count()).where(_ti.state.in_((TaskState.QUEUED, TaskState.RUNNING))).group_by(_ti.queue)
)

#: Those of runs that masters run.
_SERVED = _ACTIVE.join(dag_run, (_ti.dag_id == dag_run.c.dag_id) & (_ti.run_id == dag_run.c.run_id)).where(
    dag_run.c.is_served
)


def places_by_queue(database: Database, heartbeat: float) -> Mapping[str, int]:
    """Return the number of tasks that the living workers of each queue run at the same time.

    Args:
        database: The database.
        heartbeat: Interval of the heartbeats of jobs (seconds).
    """
    found = Counter[str]()
    for worker in living_jobs(database, heartbeat, kind=WORKER_JOB):
        found.update(dict.fromkeys((worker.queues or "").split(","), worker.parallelism or 0))
    return found


def free_places(database: Database, heartbeat: float) -> Mapping[str, int]:
    """Return how many more task instances of each queue may be queued for its workers; it may be less than 0.

    Args:
        database: The database.
        heartbeat: Interval of the heartbeats of jobs (seconds).
    """
    places = places_by_queue(database, heartbeat)
    if not places:
        return {}
    active = {row[0]: row[1] for row in database.query(lambda connection: connection.execute(_ACTIVE).all())}
    return {queue: _QUEUED_PER_PLACE * count - active.get(queue, 0) for queue, count in places.items()}


def free_places_of_masters(database: Database, heartbeat: float, places: Mapping[str, int]) -> Mapping[str, int]:
    """Return how many more task instances the executors of all living masters start, by the name of the executor.

    Args:
        database: The database.
        heartbeat: Interval of the heartbeats of jobs (seconds).
        places: Places of the executors of one master, by queue; an empty name has all queues.
    """
    masters = len(living_jobs(database, heartbeat, kind=MASTER_JOB))
    if not masters:
        return {}
    active = {row[0]: row[1] for row in database.query(lambda connection: connection.execute(_SERVED).all())}
    active[""] = sum(active.values())
    return {name: max(0, masters * count - active.get(name, 0)) for name, count in places.items()}
