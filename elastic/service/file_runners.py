"""Runners of a master's task processes: they load a DAG from its file when they first need it, and keep it."""

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

from elastic.core.errors import ElasticError
from elastic.core.text import error_text
from elastic.dag.dag import DAG
from elastic.dag.files.dag_bag import DagBag
from elastic.dag.files.dag_file import DagFileSource
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.db.records import AttemptResult
from elastic.executors.executor import TaskCommand
from elastic.scheduler.attempts.attempt_request import AttemptRequest
from elastic.scheduler.attempts.attempt_runner import AttemptRunner
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.supervisor.due_callbacks import CallbackRunner
from elastic.service.parsing.last_good_sources import LastGoodSources

#: DAG files whose DAGs a task process keeps.
_MAX_KEPT = 20

#: Seconds until the next try of a task whose DAG file cannot be loaded.
_RETRY_SECONDS = 30.0

#: Paths, times and sizes of the files that a loaded DAG comes from.
_Signature = tuple[tuple[str, int, int], ...]


class FileDags:
    """DAGs of one process by file. A DAG is loaded again after its file or one of its helper modules changed.

    A file that cannot be loaded is replaced by its last good source.

    Args:
        sources: Last good sources.
    """

    def __init__(self, sources: LastGoodSources) -> None:
        self.sources = sources
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
            before = _state_of(path)
            bag = self._load(path, request.root)
            # Of a file that changes while it is loaded, the earlier state is noted, so that it is loaded again.
            kept = self._kept[path] = (bag, (before, *_signature(path, bag)[1:]))
        self._kept.move_to_end(path)
        while len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)
        return kept[0].get_dag(request.info.dag_id)

    def _load(self, path: str, root: str) -> DagBag:
        bag = DagBag(Path(path), root=root)
        failure = bag.import_errors.get(path)
        source = self.sources.get(path) if failure is not None and not bag.dags else None
        if source is not None:
            bag.load_source(DagFileSource(path, source))
            if path in bag.import_errors and failure is not None:
                bag.import_errors[path] = failure
        return bag


class _FileRunner(AttemptRunner):
    """Runner that loads the DAG of a request from the file that the request names.

    Args:
        deployment: Database, folders and limits.
        sources: Last good sources of DAG files.
    """

    def __init__(self, deployment: Deployment, sources: LastGoodSources) -> None:
        self._terminal = None
        self._deployment = deployment
        self._supervisor_pid = os.getpid()
        self._dags = FileDags(sources)

    def load(self, request: AttemptRequest) -> tuple[Deployment, DAG]:
        """Return the deployment of this process, and the DAG of a request."""
        if self._deployment is None:
            self._deployment = Deployment.of()
        return self._deployment, self._dags.get(request)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_deployment": None, "_dags": FileDags(self._dags.sources)}


class FileAttemptRunner(_FileRunner):
    """Runner of the attempts of any DAG whose request names its file."""

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


class FileCallbackRunner(_FileRunner, CallbackRunner):
    """Runner of the callbacks of any DAG whose request names its file."""


def _signature(path: str, bag: DagBag) -> _Signature:
    """Return the present state of the files that a bag was loaded from, the DAG file first."""
    helpers = {one for dag in bag for one in dag.helpers.files} - {path}
    return tuple(_state_of(one) for one in (path, *sorted(helpers)))


def _state_of(path: str) -> tuple[str, int, int]:
    try:
        stat = os.stat(path)  # noqa: PTH116 - it runs before each attempt
    except OSError:
        return path, -1, -1
    return path, stat.st_mtime_ns, stat.st_size
