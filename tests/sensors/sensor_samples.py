"""Attempts of sensors, in each of their modes, up to the end of their wait."""

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from elastic.dag import DAG
from elastic.dag.execution.wait import WaitMode
from elastic.dag.ids import TaskKey
from elastic.dag.operator import BaseOperator
from elastic.dag.states.state import TaskState
from elastic.dag.timetable.interval import DataInterval
from elastic.db import queries, transitions
from elastic.db.records import AttemptResult, DagRun, QueueRequest, TaskInstanceRow
from elastic.scheduler.attempts.attempt_request import AttemptRequest, attempt_info_of, new_instance
from elastic.scheduler.attempts.lease import claim
from elastic.scheduler.attempts.run_attempt import run_attempt
from elastic.scheduler.commands.planning import new_run
from elastic.scheduler.deployment import Deployment
from elastic.service.triggerer.triggerer import Triggerer

START = datetime(2016, 2, 22, tzinfo=UTC)

#: Seconds between the checks of sensors in tests.
INTERVAL = 0.05


def dag_of(dag_id: str = "etl") -> DAG:
    return DAG(dag_id, start_date="2016-02-22")


@dataclass
class Waiter:
    """Task instance of a sensor, whose attempts run in this process."""

    task: BaseOperator
    mode: WaitMode
    run: DagRun
    max_tries: int = 1

    @classmethod
    def of(cls, task: BaseOperator, mode: str = WaitMode.DEFER, *, max_tries: int = 1) -> "Waiter":
        database = Deployment.of().database
        day = DataInterval(START, START.replace(day=23))
        run = transitions.ensure_run(database, new_run(task.dag_id, task.schedule, day, "manual"))  # type: ignore[arg-type]
        transitions.ensure_instances(database, [replace(new_instance(run, task), max_tries=max_tries)])
        return cls(task, WaitMode(mode), run, max_tries)

    @property
    def key(self) -> TaskKey:
        return TaskKey(self.run.dag_id, self.run.run_id, self.task.task_id)

    @property
    def row(self) -> TaskInstanceRow:
        found = queries.instance(Deployment.of().database, self.key)
        assert found is not None
        return found

    @property
    def state(self) -> str:
        return str(self.row.state)

    @property
    def error(self) -> str:
        """The error of the latest attempt."""
        return queries.attempts(Deployment.of().database, self.key)[-1].error or ""

    @property
    def value(self) -> Any:
        """The value for later tasks, as JSON."""
        found = queries.xcoms(
            Deployment.of().database, self.key.dag_id, self.key.run_id, [self.task.task_id], "return_value"
        )
        return found[0][2] if found else None

    def slice(self) -> AttemptResult:
        """Run a process of the attempt; record and return its result."""
        deployment, row = Deployment.of(), self.row
        continues = row.state is TaskState.UP_FOR_RESCHEDULE
        attempt_uuid = row.attempt_uuid if continues and row.attempt_uuid else uuid.uuid4().hex
        request = QueueRequest(key=self.key, attempt_uuid=attempt_uuid, continues=continues)
        assert transitions.queue(deployment.database, request)
        info = attempt_info_of(
            self.run, self.task.task_id, try_number=row.try_number + (not continues), attempt_uuid=attempt_uuid
        )
        attempt = AttemptRequest(info=info, max_tries=self.max_tries, wait_mode=self.mode, continues=continues)
        assert claim(deployment, attempt)
        result = run_attempt(self.task, attempt, deployment, capture=True)
        assert transitions.finish(deployment.database, result)
        return result

    def to_end(self) -> str:
        """Go on until the attempt has ended; return the state of the instance."""
        triggerer = Triggerer(Deployment.of(), lambda line: None)
        while True:
            state = self.row.state
            if state is TaskState.DEFERRED:
                triggerer.collect(min(triggerer.turn(), 0.01))
            elif state is None or state is TaskState.UP_FOR_RESCHEDULE:
                self.slice()
            else:
                return str(state)


def waited(task: BaseOperator, mode: str, come_true: Callable[[], None], **options: Any) -> Waiter:
    """Let a sensor wait for a condition that comes true after its first check; return its instance at the end."""
    waiter = Waiter.of(task, mode, **options)
    if mode == WaitMode.POKE:
        timer = threading.Timer(2 * INTERVAL, come_true)
        timer.start()
        waiter.slice()
        timer.join()
        return waiter
    waiter.slice()
    assert waiter.state == {"defer": "deferred", "reschedule": "up_for_reschedule"}[mode]
    come_true()
    waiter.to_end()
    return waiter
