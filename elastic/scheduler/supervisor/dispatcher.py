"""Dispatcher: turns runnable instances into attempts. Each attempt gets its uuid before a process starts."""

import socket
import uuid
from collections import Counter
from collections.abc import Callable, Sequence

from elastic.dag.execution.wait import WaitMode
from elastic.db.records import Claim, DagRun, QueueRequest
from elastic.db.stores.pools import PoolStore
from elastic.executors.executor import Executor
from elastic.scheduler.attempts.attempt_request import AttemptRequest, attempt_info_of
from elastic.scheduler.decisions.dag_spec import DagSpec
from elastic.scheduler.decisions.free_slots import FreeSlots, choose, slot_verdicts
from elastic.scheduler.decisions.inputs import RunnableTask
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.supervisor.running_attempts import RunningAttempt, RunningAttempts, deadline_after
from elastic.scheduler.supervisor.waiting_notice import worker_places


class Dispatcher:
    """Chooses the instances that run now and creates their attempts.

    Args:
        deployment: Database, folders and limits.
        dag: The DAG.
        runs: Runs by id.
        executor: Executor of the attempts.
        owner: Owner of their leases.
    """

    def __init__(
        self, deployment: Deployment, dag: DagSpec, runs: dict[str, DagRun], executor: Executor, owner: str
    ) -> None:
        self._deployment, self._dag, self._runs = deployment, dag, runs
        self._executor, self.owner = executor, owner
        self._host = socket.gethostname()
        #: slots by pool; -1 for no limit
        self._pool_sizes: dict[str, int] = {}
        #: True if more attempts were chosen than the executor had processes for
        self.has_more = False
        #: True if failed instances are not retried
        self.tries_once = False
        #: returns how sensors wait
        self.wait_mode: Callable[[], WaitMode] = lambda: WaitMode.DEFER
        #: True if no further attempt may start
        self.is_closed = False
        #: slots by pool that other groups of this process use
        self.used_elsewhere = Counter[str]()
        #: id of the supervisor's job; 0 before the job starts
        self.job_id = 0

    def next_attempts(self, ready: Sequence[RunnableTask], attempts: RunningAttempts) -> list[RunningAttempt]:
        """Return the attempts to start now, chosen from the instances that are ready."""
        self.has_more = False
        if not ready or self.is_closed or not self._executor.free:
            return []
        running = self._executor.running
        candidates = [one for one in ready if one.key not in running and attempts.may_retry_now(one.key)]
        free_slots = self._free_slots(attempts)
        chosen = choose(candidates, free_slots)
        found = []
        for name, member in self._executor.members.items():
            mine = [one for one in chosen if free_slots.executor_of(one.task.queue) == name]
            # An executor with worker processes takes one attempt for each process; more processes are ready next time.
            pids = member.reserve(len(mine)) if mine else []
            self.has_more = self.has_more or 0 < len(pids) < len(mine)
            placed = zip(mine, pids, strict=False) if pids else ((one, None) for one in mine)
            made = [self._attempt(one, attempts, pid) for one, pid in placed]
            found += [one.left_to_workers() for one in made] if member.leaves_to_workers else made
        return found

    def read_pools(self) -> None:
        """Read the sizes of the pools from the database."""
        self._pool_sizes = {pool.pool: pool.slots for pool in PoolStore(self._deployment.database).all()}

    def lasting_obstacle(self, one: RunnableTask) -> str:
        """Return why an instance can never run with the present pools; empty if it can."""
        found = slot_verdicts(one, FreeSlots(queues=self._executor.queues, sizes=self._pool_sizes))
        return next((verdict.reason for verdict in found if verdict.is_lasting), "")

    def slots_in_use(self, attempts: RunningAttempts) -> Counter[str]:
        """Return the slots by pool that attempts use whose results are not recorded yet."""
        used = Counter[str]()
        for key in attempts.running:
            task = self._dag.tasks[key.task_id]
            used[task.pool] += task.pool_slots
        return used

    def _free_slots(self, attempts: RunningAttempts) -> FreeSlots:
        """Return the free slots as far as this process knows; the database checks them again."""
        workers = self._executor.worker_members
        used = self.slots_in_use(attempts)
        pools = {
            name: slots - used[name] - self.used_elsewhere[name]
            for name, slots in self._pool_sizes.items()
            if slots >= 0
        }
        concurrency = self._dag.concurrency - len(attempts.running) if self._dag.concurrency else None
        return FreeSlots(
            executors={name: one.free for name, one in self._executor.members.items() if name not in workers},
            queues=self._executor.queues,
            workers=worker_places(self._deployment, workers),
            concurrency=concurrency,
            pools=pools,
            sizes=self._pool_sizes,
        )

    def _attempt(self, one: RunnableTask, attempts: RunningAttempts, pid: int | None) -> RunningAttempt:
        key, task, row = one.key, self._dag.tasks[one.key.task_id], attempts.rows[one.key]
        run, continues = self._runs[key.run_id], one.continues and row.attempt_uuid is not None
        attempt_uuid = row.attempt_uuid if continues and row.attempt_uuid else uuid.uuid4().hex
        try_number = row.try_number if continues else row.try_number + 1
        info = attempt_info_of(run, key.task_id, key.map_index, try_number=try_number, attempt_uuid=attempt_uuid)
        request = AttemptRequest(
            info=info,
            max_tries=0 if self.tries_once else row.max_tries,
            run_attempt=run.attempt,
            flow_run_id=row.flow_run_id,
            is_claimed=pid is not None,
            wait_mode=self.wait_mode(),
            continues=continues,
            lease_owner=self.owner,
            fileloc=self._dag.fileloc,
            root=self._dag.root,
        )
        queue_request = QueueRequest(
            key=key,
            attempt_uuid=attempt_uuid,
            version=row.version,
            lease_owner=self.owner,
            lease=self._deployment.lease,
            continues=continues,
            pool=task.pool,
            pool_slots=task.pool_slots,
            concurrency=self._dag.concurrency,
            job_id=self.job_id or None,
        )
        claim = None
        if pid is not None:
            claim = Claim(
                key=key,
                attempt_uuid=attempt_uuid,
                host=self._host,
                pid=pid,
                lease_owner=self.owner,
                lease=self._deployment.lease,
                continues=continues,
            )
        limit = task.execution_timeout.total_seconds() if task.execution_timeout else None
        return RunningAttempt(request=request, queue_request=queue_request, claim=claim, deadline=deadline_after(limit))
