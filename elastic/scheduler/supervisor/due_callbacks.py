"""Callbacks that are due: the processes of their attempts ended before they called them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from elastic.dag.dag import DAG
from elastic.dag.execution.callbacks import run_callbacks
from elastic.dag.ids import TaskKey
from elastic.db import queries, transitions
from elastic.db.records import Attempt, DagRun
from elastic.db.stores.xcoms import add_log_lines
from elastic.executors.executor import TaskCommand
from elastic.executors.local import LocalExecutor
from elastic.scheduler.attempts.attempt_log import attempt_log
from elastic.scheduler.attempts.attempt_request import AttemptRequest, facts_of
from elastic.scheduler.attempts.attempt_runner import AttemptRunner
from elastic.scheduler.attempts.run_attempt import AttemptXCom, callbacks_of, context_of
from elastic.scheduler.deployment import Deployment

#: Seconds that the callbacks of an attempt may take.
_LONGEST = 300.0


@dataclass(frozen=True, slots=True)
class _Due:
    """Callbacks that are to be called."""

    order: AttemptRequest
    state: str
    error: str | None


class CallbackRunner(AttemptRunner):
    """Calls the callbacks of attempts in a process of its own; of several that want to, one does."""

    def __call__(self, key: TaskKey, command: TaskCommand) -> None:
        """Call what is due, and write into the log of the attempt."""
        deployment, dag = self._ready()
        due: _Due = command.order
        task, order = dag.get_task(key.task_id), due.order
        if not transitions.take_callbacks(deployment.database, order.facts.attempt_uuid, is_own=False):
            return
        with task.helpers.installed(), attempt_log(deployment, task, order, capture=True, goes_on=True) as lines:
            task.log.info("its process ended before it called the callbacks for %s; this one does", due.state)
            context = context_of(task, order, deployment, AttemptXCom(deployment, key))
            run_callbacks(
                callbacks_of(task, due.state), {**context, "state": due.state, "exception": due.error}, task.log
            )
            if lines:
                add_log_lines(deployment.database, lines.taken())


class DueCallbacks:
    """Has callbacks called that are due, one attempt after another.

    Args:
        deployment: Where it happens.
        dag: The DAG.
        runs: By id; callbacks of other runs are left to others.
        say: Is told which callbacks did not come to an end.
    """

    def __init__(
        self, deployment: Deployment, dag: DAG, runs: Mapping[str, DagRun], say: Callable[[str], None]
    ) -> None:
        self._deployment, self._dag, self._runs, self._say = deployment, dag, runs, say
        self._executor: LocalExecutor | None = None
        self._asked: set[str] = set()
        self._deadlines: dict[TaskKey, float] = {}

    def look(self) -> None:
        """Begin what is due by now."""
        for attempt in queries.due_callbacks(self._deployment.database, self._dag.dag_id):
            if attempt.attempt_uuid in self._asked or attempt.key in self._deadlines:
                continue
            if attempt.run_id not in self._runs or attempt.task_id not in self._dag:
                continue
            self._asked.add(attempt.attempt_uuid)
            if callbacks_of(self._dag.get_task(attempt.task_id), attempt.callback or ""):
                self._begin(attempt)
            else:
                transitions.take_callbacks(self._deployment.database, attempt.attempt_uuid, is_own=False)

    def care(self, timeout: float = 0.0) -> None:
        """Start the next, and tell how others ended; wait up to `timeout` seconds for one to end."""
        if self._executor is None or not self._deadlines:
            return
        self._executor.heartbeat(timeout)
        for key, event in self._executor.get_event_buffer().items():
            self._deadlines.pop(key, None)
            if event.error:
                self._say(f"Callbacks of {key} did not come to their end: {event.error}")
        now = time.monotonic()
        for key in [key for key in self._executor.running if self._deadlines.get(key, now) < now]:
            self._executor.kill(key)

    def end(self) -> None:
        """Begin what is due, and wait until all that was begun has ended."""
        self.look()
        while self._deadlines:
            self.care(timeout=1.0)
            self.look()
        if self._executor is not None:
            self._executor.end()
            self._executor = None

    def _begin(self, attempt: Attempt) -> None:
        if self._executor is None:
            self._executor = LocalExecutor(1)
            self._executor.start(CallbackRunner(self._dag, self._deployment))
        facts = facts_of(
            self._runs[attempt.run_id],
            attempt.task_id,
            attempt.map_index,
            try_number=attempt.try_number,
            attempt_uuid=attempt.attempt_uuid,
        )
        order = AttemptRequest(facts=facts, max_tries=attempt.try_number, run_attempt=attempt.run_attempt)
        self._deadlines[attempt.key] = time.monotonic() + _LONGEST
        due = _Due(order, attempt.callback or "", attempt.error)
        self._executor.queue_command(attempt.key, TaskCommand(words=(), order=due))
