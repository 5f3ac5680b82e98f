"""Attempt runner: executes commands in a worker process that has already loaded the DAG."""

import contextlib
import os
from pathlib import Path
from typing import Any, TextIO

from elastic.core.errors import UsageError
from elastic.dag.dag import DAG
from elastic.dag.files.dag_bag import DagBag
from elastic.dag.ids import TaskKey
from elastic.executors.executor import TaskCommand
from elastic.scheduler.attempts.attempt_request import NOT_CLAIMED, AttemptRequest
from elastic.scheduler.attempts.lease import claim, renewing_lease
from elastic.scheduler.attempts.run_attempt import run_attempt
from elastic.scheduler.deployment import Deployment


class AttemptRunner:
    """Runner of the attempts of one DAG.

    A forked process inherits the DAG. Any other process loads the DAG from its file, or unpickles a DAG that was
    defined in a notebook or a script.

    Args:
        dag: The DAG.
        deployment: Database, folders and limits.
        terminal: Second destination of the logs. Without a terminal, printed output becomes part of the log.
    """

    def __init__(self, dag: DAG, deployment: Deployment, terminal: TextIO | None = None) -> None:
        self._terminal = terminal
        self._dag: DAG | None = dag
        self._dag_id, self._fileloc, self._root = dag.dag_id, dag.fileloc, dag.root
        self._deployment: Deployment | None = deployment
        self._pickled_dag: bytes | None = None
        self._supervisor_pid = os.getpid()

    def __call__(self, key: TaskKey, command: TaskCommand) -> Any:
        """Run an attempt; return its `AttemptResult`, or NOT_CLAIMED."""
        request: AttemptRequest = command.request
        deployment, dag = self.load(request)
        if not request.is_claimed and not claim(deployment, request):
            return NOT_CLAIMED
        task, terminal = dag.get_task(key.task_id), self._terminal
        # In the supervisor's own process, the attempt blocks the loop that renews leases.
        is_inline = os.getpid() == self._supervisor_pid
        with renewing_lease(deployment, request) if is_inline else contextlib.nullcontext():
            return run_attempt(task, request, deployment, terminal=terminal, capture=terminal is None)

    def __getstate__(self) -> dict[str, Any]:
        if self._pickled_dag is None and self._dag is not None and not self._dag.is_of_file:
            self._pickled_dag = _pickle_dag(self._dag)
        return {**self.__dict__, "_dag": None, "_deployment": None, "_terminal": None}

    def load(self, request: AttemptRequest) -> tuple[Deployment, DAG]:
        """Return the deployment of this process, and the DAG of a request."""
        if self._deployment is None:
            self._deployment = Deployment.of()
        if self._dag is None:
            self._dag = self._load_dag()
        return self._deployment, self._dag

    def _load_dag(self) -> DAG:
        if self._pickled_dag is not None:
            from ray import cloudpickle

            # The bytes come from the parent process, through a pipe that no other process can write to.
            dag: DAG = cloudpickle.loads(self._pickled_dag)
            return dag
        return DagBag(Path(self._fileloc), root=self._root).get_dag(self._dag_id)


def _pickle_dag(dag: DAG) -> bytes:
    """Return a DAG without a file as bytes.

    Raises:
        UsageError: The DAG holds an object that cannot be pickled.
    """
    # Imported here because Ray is slow to import and forked processes do not need it.
    from ray import cloudpickle

    try:
        pickled: bytes = cloudpickle.dumps(dag)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise UsageError(
            f"DAG {dag.dag_id!r} was made in this program and cannot be given to the processes of its tasks ({error}); "
            "define it in a file of its own, or run it with executor='inline'."
        ) from error
    return pickled
