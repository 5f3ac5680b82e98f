"""From what may run to attempts that are ordered: each gets its uuid before anything is started."""

import socket
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from elastic.dag.dag import DAG
from elastic.dag.ids import TaskKey
from elastic.db.records import Claim, DagRun, QueueRequest
from elastic.db.stores.pools import PoolStore
from elastic.executors.executor import Executor
from elastic.scheduler.attempts.attempt_request import AttemptRequest, facts_of
from elastic.scheduler.decisions.conditions import room_verdicts
from elastic.scheduler.decisions.decide import choose
from elastic.scheduler.decisions.inputs import FreeSlots, RunnableTask
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.supervisor.running_attempts import RunningAttempt, RunningAttempts


@dataclass(frozen=True, slots=True)
class Dispatch:
    """An instance that is to run now, under a new attempt."""

    key: TaskKey
    hand: RunningAttempt
    ticket: QueueRequest
    #: where a process waits for it
    claim: Claim | None


class Dispatcher:
    """Chooses what runs now, and makes out its attempts.

    Args:
        deployment: Where it happens.
        dag: The DAG.
        runs: By id.
        executor: What runs them.
        owner: Who holds their leases.
    """

    def __init__(
        self, deployment: Deployment, dag: DAG, runs: dict[str, DagRun], executor: Executor, owner: str
    ) -> None:
        self._deployment, self._dag, self._runs = deployment, dag, runs
        self._executor, self._owner = executor, owner
        self._host = socket.gethostname()
        #: slots by pool, -1 for any number
        self._sizes: dict[str, int] = {}
        #: there was room for more than the executor could take at once
        self.has_more = False
        #: no instance is tried again
        self.tries_once = False
        #: of the job that queues them
        self.job_id = 0

    def picks(self, ready: Sequence[RunnableTask], hands: RunningAttempts) -> list[Dispatch]:
        """Return what is to run now, out of what is ready."""
        free, self.has_more = self._executor.free, False
        if not free or not ready:
            return []
        asked = [one for one in ready if one.key not in self._executor.running and hands.may_ask(one.key)]
        chosen = choose(asked, self._room(free, hands))
        # An executor that keeps processes takes as many as there are; more of them are there the next time.
        pids = self._executor.reserve(len(chosen)) if chosen else []
        if pids:
            self.has_more = len(pids) < len(chosen)
            chosen = chosen[: len(pids)]
        return [self._pick(one, hands, pids[number] if pids else None) for number, one in enumerate(chosen)]

    def read_pools(self) -> None:
        """Look up how many slots the pools have."""
        self._sizes = {pool.pool: pool.slots for pool in PoolStore(self._deployment.database).all()}

    def lack(self, one: RunnableTask) -> str:
        """Return why an instance can never run with the pools as they are; empty if it can."""
        found = room_verdicts(one, FreeSlots(sizes=self._sizes))
        return next((verdict.reason for verdict in found if verdict.is_lasting), "")

    def _room(self, free: int, hands: RunningAttempts) -> FreeSlots:
        """Return what is left, as far as is known here: the database has the last word."""
        pools = {name: slots for name, slots in self._sizes.items() if slots >= 0}
        for key in hands.held:
            task = self._dag.get_task(key.task_id)
            if task.pool in pools:
                pools[task.pool] -= task.pool_slots
        concurrency = self._dag.concurrency - len(hands.held) if self._dag.concurrency else None
        return FreeSlots(executor=free, concurrency=concurrency, pools=pools, sizes=self._sizes)

    def _pick(self, one: RunnableTask, hands: RunningAttempts, pid: int | None) -> Dispatch:
        key, task, row = one.key, self._dag.get_task(one.key.task_id), hands.rows[one.key]
        run, attempt = self._runs[key.run_id], uuid.uuid4().hex
        facts = facts_of(run, key.task_id, key.map_index, try_number=row.try_number + 1, attempt_uuid=attempt)
        order = AttemptRequest(
            facts=facts,
            max_tries=0 if self.tries_once else row.max_tries,
            run_attempt=run.attempt,
            flow_run_id=row.flow_run_id,
            is_claimed=pid is not None,
            lease_owner=self._owner,
        )
        ticket = QueueRequest(
            key=key,
            attempt_uuid=attempt,
            version=row.version,
            lease_owner=self._owner,
            lease=self._deployment.lease,
            pool=task.pool,
            pool_slots=task.pool_slots,
            concurrency=self._dag.concurrency,
            job_id=self.job_id or None,
        )
        claim = None
        if pid is not None:
            claim = Claim(
                key=key,
                attempt_uuid=attempt,
                host=self._host,
                pid=pid,
                lease_owner=self._owner,
                lease=self._deployment.lease,
            )
        limit = task.execution_timeout.total_seconds() if task.execution_timeout else None
        return Dispatch(key, RunningAttempt.of(order, limit), ticket, claim)
