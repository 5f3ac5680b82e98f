"""What a worker process does with a command: it knows the DAG already, and runs the attempt that is ordered."""

import contextlib
import os
from pathlib import Path
from typing import Any, TextIO

from elastic.core.errors import UsageError
from elastic.dag.dag import DAG
from elastic.dag.files.dag_bag import DagBag
from elastic.dag.ids import TaskKey
from elastic.executors.executor import TaskCommand
from elastic.scheduler.attempts.attempt_request import AttemptReport, AttemptRequest
from elastic.scheduler.attempts.lease import claim, renewing_lease
from elastic.scheduler.attempts.run_attempt import run_attempt
from elastic.scheduler.deployment import Deployment


class AttemptRunner:
    """Runs attempts of tasks of one DAG.

    A process that was forked has the DAG; one that was not loads it from its file, or is given it where it was made in
    a notebook or a script.

    Args:
        dag: The DAG.
        deployment: Where it happens.
        terminal: Where the logs go as well; what is printed stays what it is then, and is else part of the log.
    """

    def __init__(self, dag: DAG, deployment: Deployment, terminal: TextIO | None = None) -> None:
        self._terminal = terminal
        self._dag: DAG | None = dag
        self._dag_id, self._place, self._root = dag.dag_id, dag.fileloc, dag.root
        self._deployment: Deployment | None = deployment
        self._packed: bytes | None = None
        self._home = os.getpid()

    def __call__(self, key: TaskKey, command: TaskCommand) -> Any:
        """Run an attempt, and return its report."""
        deployment, dag = self._ready()
        order: AttemptRequest = command.order
        if not order.is_claimed and not claim(deployment, order):
            return AttemptReport(ending=None)
        task, terminal = dag.get_task(key.task_id), self._terminal
        # In the supervisor's own process nobody else can renew the lease now.
        with renewing_lease(deployment, order) if os.getpid() == self._home else contextlib.nullcontext():
            return run_attempt(task, order, deployment, terminal=terminal, capture=terminal is None)

    def __getstate__(self) -> dict[str, Any]:
        if self._packed is None and self._dag is not None and not self._dag.is_of_file:
            self._packed = _packed(self._dag)
        return {**self.__dict__, "_dag": None, "_deployment": None, "_terminal": None}

    def _ready(self) -> tuple[Deployment, DAG]:
        if self._deployment is None:
            self._deployment = Deployment.of()
        if self._dag is None:
            self._dag = self._found()
        return self._deployment, self._dag

    def _found(self) -> DAG:
        if self._packed is not None:
            from ray import cloudpickle

            # From the process that started this one, through a pipe that nobody else has.
            given: DAG = cloudpickle.loads(self._packed)
            return given
        return DagBag(Path(self._place), root=self._root).get_dag(self._dag_id)


def _packed(dag: DAG) -> bytes:
    """Return a DAG that is in no file of DAGs as bytes.

    Raises:
        UsageError: It holds something that cannot be given to another process.
    """
    # Only processes that are not forked are given a DAG so, and Ray takes a while to import.
    from ray import cloudpickle

    try:
        found: bytes = cloudpickle.dumps(dag)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise UsageError(
            f"DAG {dag.dag_id!r} was made in this program and cannot be given to the processes of its tasks ({error}); "
            "define it in a file of its own, or run it with executor='inline'."
        ) from error
    return found
