"""Runners of a master's task processes: they load a DAG from its file when they first need it, and keep it."""

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

from elastic.core.errors import ElasticError
from elastic.core.text import error_text
from elastic.dag.dag import DAG
from elastic.dag.files.dag_bag import DagBag
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.db.records import AttemptResult
from elastic.executors.executor import TaskCommand
from elastic.scheduler.attempts.attempt_request import AttemptRequest
from elastic.scheduler.attempts.attempt_runner import AttemptRunner
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.supervisor.due_callbacks import CallbackRunner

#: DAG files whose DAGs a task process keeps.
_MAX_KEPT = 20

#: Seconds until the next try of a task whose DAG file cannot be loaded.
_RETRY_SECONDS = 30.0

#: Paths, times and sizes of the files that a loaded DAG comes from.
_Signature = tuple[tuple[str, int, int], ...]


class FileDags:
    """DAGs of one process by file. A DAG is loaded again after its file or one of its helper modules changed."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[DagBag, _Signature]] = OrderedDict()

    def get(self, request: AttemptRequest) -> DAG:
        """Return the DAG of a request.

        Raises:
            UnknownDagError: The file no longer defines the DAG.
            BrokenDagError: The file cannot be loaded.
        """
        path = request.fileloc
        kept = self._kept.get(path)
        if kept is None or _signature(path, kept[0]) != kept[1]:
            bag = DagBag(Path(path), root=request.root)
            kept = self._kept[path] = (bag, _signature(path, bag))
        self._kept.move_to_end(path)
        while len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)
        return kept[0].get_dag(request.info.dag_id)


class FileAttemptRunner(AttemptRunner):
    """Runner of the attempts of any DAG whose request names its file.

    Args:
        deployment: Database, folders and limits.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._terminal = None
        self._deployment = deployment
        self._supervisor_pid = os.getpid()
        self._dags = FileDags()

    def __call__(self, key: TaskKey, command: TaskCommand) -> Any:
        """Run an attempt; a DAG that cannot be loaded fails it with the reason."""
        request: AttemptRequest = command.request
        try:
            _, dag = self.load(request)
            dag.get_task(key.task_id)
        except ElasticError as error:
            may_retry = request.info.try_number < request.max_tries
            return AttemptResult(
                attempt_uuid=request.info.attempt_uuid,
                state=TaskState.UP_FOR_RETRY if may_retry else TaskState.FAILED,
                expected=TaskState.RUNNING if request.is_claimed else TaskState.QUEUED,
                error=error_text(error),
                retry_in=_RETRY_SECONDS if may_retry else None,
            )
        return super().__call__(key, command)

    def load(self, request: AttemptRequest) -> tuple[Deployment, DAG]:
        """Return the deployment of this process, and the DAG of a request."""
        if self._deployment is None:
            self._deployment = Deployment.of()
        return self._deployment, self._dags.get(request)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_deployment": None, "_dags": FileDags()}


class FileCallbackRunner(CallbackRunner):
    """Runner of the callbacks of any DAG whose request names its file.

    Args:
        deployment: Database, folders and limits.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._dags = FileDags()

    def load(self, request: AttemptRequest) -> tuple[Deployment, DAG]:
        """Return the deployment of this process, and the DAG of a request."""
        if self._deployment is None:
            self._deployment = Deployment.of()
        return self._deployment, self._dags.get(request)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_deployment": None, "_dags": FileDags()}


def _signature(path: str, bag: DagBag) -> _Signature:
    """Return the present state of the files that a bag was loaded from."""
    paths = {path}
    for dag in bag:
        paths.update(dag.helpers.files)
    found = []
    for one in sorted(paths):
        try:
            stat = os.stat(one)  # noqa: PTH116 - it runs before each attempt
            found.append((one, stat.st_mtime_ns, stat.st_size))
        except OSError:
            found.append((one, -1, -1))
    return tuple(found)
