"""Waiting notice: explains to the user why a runnable instance waits, by the database's count of free slots."""

from collections.abc import Callable, Mapping, Sequence

from elastic.dag.states.state import RunState
from elastic.db import queries
from elastic.db.stores.pools import PoolStore
from elastic.db.stores.workers import free_places, free_places_of_masters
from elastic.executors.executor import Executor
from elastic.scheduler.decisions.dag_spec import DagSpec
from elastic.scheduler.decisions.free_slots import FreeSlots, WorkerPlaces, active_runs_reason, slot_verdicts
from elastic.scheduler.decisions.inputs import RunnableTask
from elastic.scheduler.deployment import Deployment


def worker_places(deployment: Deployment, executors: frozenset[str]) -> WorkerPlaces:
    """Return the places of living workers for some executors, which leave their tasks to them."""
    free = free_places(deployment.database, deployment.heartbeat) if executors else {}
    return WorkerPlaces(executors=executors, free=free)


def free_slots_of(
    deployment: Deployment,
    dag_id: str,
    concurrency: int,
    executor: Executor | None = None,
    *,
    is_served: bool = False,
) -> FreeSlots:
    """Return the slots that instances of a DAG may take now.

    Args:
        deployment: Database that counts the slots, and the executors of queues.
        dag_id: The DAG.
        concurrency: Maximum number of active instances of the DAG; 0 for no limit.
        executor: Executor of this process, which may have other queues than those of the deployment.
        is_served: Whether masters run the instances. Then the places that all living masters have count.
    """
    database = deployment.database
    queues = deployment.executors_by_queue if executor is None else executor.queues
    workers = deployment.worker_executors if executor is None else executor.worker_members
    executors: Mapping[str, int] = {}
    if executor is not None:
        executors = {name: one.free for name, one in executor.members.items()}
    elif is_served:
        executors = free_places_of_masters(database, deployment.heartbeat, deployment.parallelism_by_executor)
    pools = PoolStore(database).all()
    active = len(queries.active_instances(database, dag_id)) if concurrency else 0
    return FreeSlots(
        executors={name: free for name, free in executors.items() if name not in workers},
        concurrency=concurrency - active if concurrency else None,
        pools={one.pool: one.slots - one.queued - one.running for one in pools if one.slots >= 0},
        sizes={one.pool: one.slots for one in pools},
        queues=queues,
        workers=worker_places(deployment, workers),
    )


class WaitingNotice:
    """Reports to the user, once per reason, why runnable instances wait.

    Args:
        deployment: Database that counts the free slots.
        dag: The DAG.
        executor: Executor of the instances.
        say: Receives each sentence.
    """

    def __init__(self, deployment: Deployment, dag: DagSpec, executor: Executor, say: Callable[[str], None]) -> None:
        self._deployment, self._dag, self._executor, self._say = deployment, dag, executor, say
        self._reported: set[str] = set()

    def report_full(self, ready: Sequence[RunnableTask]) -> None:
        """Report each exhausted limit with the first instance that waits for it."""
        free_slots = free_slots_of(self._deployment, self._dag.dag_id, self._dag.concurrency, self._executor)
        for one in ready:
            for verdict in slot_verdicts(one, free_slots):
                if not verdict.met:
                    self._report_once(verdict.reason, f"{one.key.run_id} {one.key.task_name}")

    def report_max_active_runs(self, max_active_runs: int) -> None:
        """Report that no run can start because other processes run as many as the DAG allows."""
        active = queries.runs(self._deployment.database, self._dag.dag_id, states=[RunState.RUNNING])
        if active:
            reason = active_runs_reason(self._dag.dag_id, max_active_runs, active[0].run_id)
            self._report_once(reason, "the next run")

    def _report_once(self, reason: str, subject: str) -> None:
        if reason not in self._reported:
            self._reported.add(reason)
            self._say(f"Waiting: {subject}: {reason}")
