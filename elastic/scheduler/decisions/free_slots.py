"""Free slots: which runnable instances fit into the limits of the executor, the DAG and the pools.

The counts may be stale when other processes run the same DAG. `elastic.db.transitions.queueing` checks the limits of
pools and DAGs again, in the transaction that queues the instances.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from elastic.dag.states.verdict import Decision, Verdict
from elastic.scheduler.decisions.inputs import RunnableTask

#: Names of the conditions on free slots.
SLOT_CONDITIONS = ("queue", "parallelism", "concurrency", "pool")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPlaces:
    """Places of living workers, which run the tasks of some executors."""

    #: names of the executors that leave their tasks to workers
    executors: frozenset[str] = frozenset()
    #: instances that the workers of a queue take; a queue that is missing has no living worker
    free: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeSlots:
    """Free slots; None for no limit."""

    #: instances that each executor accepts, by its name; an executor that is missing has no limit
    executors: Mapping[str, int] = field(default_factory=dict)
    #: names of the executors by queue; None if one executor, whose name is empty, has all queues
    queues: Mapping[str, str] | None = None
    workers: WorkerPlaces = WorkerPlaces()
    #: instances that the DAG's concurrency allows
    concurrency: int | None = None
    #: free slots by pool; a pool that is missing has no limit
    pools: Mapping[str, int] = field(default_factory=dict)
    #: all slots by pool, -1 for no limit; None if the pools are unknown
    sizes: Mapping[str, int] | None = None

    def executor_of(self, queue: str) -> str | None:
        """Return the name of the executor of a queue, or None if there is none."""
        return "" if self.queues is None else self.queues.get(queue)


def active_runs_reason(dag_id: str, max_active_runs: int, run_id: str) -> str:
    """Return why no further run of a DAG begins, with one of the runs that are active."""
    return f"max_active_runs {max_active_runs} of DAG {dag_id!r} is reached by run {run_id}"


def choose(candidates: Iterable[RunnableTask], free_slots: FreeSlots) -> list[RunnableTask]:
    """Return the candidates that run now, by priority (highest first), date, and order in the DAG.

    A candidate that does not fit into its pool does not block the candidates behind it.
    """
    ordered = sorted(candidates, key=lambda one: (-one.task.priority, one.logical_date, one.position, one.key))
    chosen = []
    executors, concurrency, pools = dict(free_slots.executors), free_slots.concurrency, dict(free_slots.pools)
    workers = WorkerPlaces(executors=free_slots.workers.executors, free=(places := dict(free_slots.workers.free)))
    for one in ordered:
        is_full = executors and not workers.executors and not any(executors.values())
        if concurrency == 0 or is_full:
            break
        left = replace(free_slots, executors=executors, workers=workers, concurrency=None, pools=pools)
        if not all(verdict.met for verdict in slot_verdicts(one, left)):
            continue
        chosen.append(one)
        name = free_slots.executor_of(one.task.queue)
        if name in executors:
            executors[name] -= 1
        elif name in workers.executors:
            places[one.task.queue] -= 1
        concurrency = None if concurrency is None else concurrency - 1
        if one.task.pool in pools:
            pools[one.task.pool] -= one.task.pool_slots
    return chosen


def slot_verdicts(runnable: RunnableTask, free_slots: FreeSlots) -> list[Verdict]:
    """Return the verdicts on free slots for one more instance: of the executor, the DAG and the pool."""
    task, dag_id = runnable.task, runnable.key.dag_id
    found = []
    name = free_slots.executor_of(task.queue)
    if name is None:
        found.append(_no_executor(task.queue))
    elif name in free_slots.workers.executors:
        found.append(_worker_verdict(task.queue, free_slots.workers.free.get(task.queue)))
    elif name in free_slots.executors:
        what = f"the executor of queue {task.queue!r}" if free_slots.queues else "the executor"
        found.append(_slot_verdict("parallelism", free_slots.executors[name], 1, what))
    found.append(_slot_verdict("concurrency", free_slots.concurrency, 1, f"the concurrency of DAG {dag_id!r}"))
    return [*found, _pool_verdict(task.pool, task.pool_slots, free_slots)]


def _pool_verdict(pool: str, needed: int, free_slots: FreeSlots) -> Verdict:
    slots = -1 if free_slots.sizes is None else free_slots.sizes.get(pool)
    if slots is None:
        why = f"pool {pool!r} isn't defined; add it with `elastic pools set {pool} SLOTS`"
    elif 0 <= slots < needed:
        has = f"pool {pool!r} has {_slots(slots)} and the task needs {needed}"
        why = f"{has}; give it more with `elastic pools set {pool} {needed}`"
    else:
        return _slot_verdict("pool", free_slots.pools.get(pool), needed, f"pool {pool!r}")
    return Verdict("pool", Decision.WAIT, why, is_lasting=True)


def _no_executor(queue: str) -> Verdict:
    why = f"no executor has the queue {queue!r}; add it to core.queues, such as {queue}=local*4"
    return Verdict("queue", Decision.WAIT, why, is_lasting=True)


def _worker_verdict(queue: str, free: int | None) -> Verdict:
    if free is None:
        why = f"no worker serves queue {queue!r}; start one with `elastic worker --queues {queue}`"
        return Verdict("queue", Decision.WAIT, why)
    return _slot_verdict("parallelism", free, 1, f"the queue of the workers of {queue!r}")


def _slots(count: int) -> str:
    return f"{count or 'no'} slot{'s' * (count != 1)}"


def _slot_verdict(name: str, free: int | None, needed: int, what: str) -> Verdict:
    if free is None or free >= needed:
        return Verdict(name, Decision.RUN, f"{what} has room")
    return Verdict(name, Decision.WAIT, f"{what} is full: it needs {needed} and {max(free, 0)} are free")
