"""Free slots: which runnable instances fit into the limits of the executor, the DAG and the pools.

The counts may be stale when other processes run the same DAG. `elastic.db.transitions.queueing` checks the limits of
pools and DAGs again, in the transaction that queues the instances.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from elastic.dag.states.verdict import Decision, Verdict
from elastic.scheduler.decisions.inputs import RunnableTask

#: Names of the conditions on free slots.
SLOT_CONDITIONS = ("parallelism", "concurrency", "pool")


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeSlots:
    """Free slots; None for no limit."""

    #: instances that the executor accepts
    executor: int | None = None
    #: instances that the DAG's concurrency allows
    concurrency: int | None = None
    #: free slots by pool; a pool that is missing has no limit
    pools: Mapping[str, int] = field(default_factory=dict)
    #: all slots by pool, -1 for no limit; None if the pools are unknown
    sizes: Mapping[str, int] | None = None


def choose(candidates: Iterable[RunnableTask], free_slots: FreeSlots) -> list[RunnableTask]:
    """Return the candidates that run now, by priority (highest first), date, and order in the DAG.

    A candidate that does not fit into its pool does not block the candidates behind it.
    """
    ordered = sorted(candidates, key=lambda one: (-one.task.priority, one.logical_date, one.position, one.key))
    chosen = []
    executor, concurrency, pools = free_slots.executor, free_slots.concurrency, dict(free_slots.pools)
    for one in ordered:
        if executor == 0 or concurrency == 0:
            break
        left = FreeSlots(executor=executor, pools=pools, sizes=free_slots.sizes)
        if not all(verdict.met for verdict in slot_verdicts(one, left)):
            continue
        chosen.append(one)
        executor = None if executor is None else executor - 1
        concurrency = None if concurrency is None else concurrency - 1
        if one.task.pool in pools:
            pools[one.task.pool] -= one.task.pool_slots
    return chosen


def slot_verdicts(runnable: RunnableTask, free_slots: FreeSlots) -> list[Verdict]:
    """Return the verdicts on free slots for one more instance: of the executor, the DAG and the pool."""
    task, dag_id = runnable.task, runnable.key.dag_id
    found = []
    if free_slots.executor is not None:
        found.append(_slot_verdict("parallelism", free_slots.executor, 1, "the executor"))
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


def _slots(count: int) -> str:
    return f"{count or 'no'} slot{'s' * (count != 1)}"


def _slot_verdict(name: str, free: int | None, needed: int, what: str) -> Verdict:
    if free is None or free >= needed:
        return Verdict(name, Decision.RUN, f"{what} has room")
    return Verdict(name, Decision.WAIT, f"{what} is full: it needs {needed} and {max(free, 0)} are free")
