"""Commands on a Ray cluster, each with the CPUs, memory and custom resources that its task asks for."""

import os
import subprocess
from collections.abc import Mapping
from typing import Any, ClassVar

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.executors.executor import Executor, Runner, TaskCommand
from elastic.executors.worker_process import ending_of

#: Variables that a command needs on a node to find the same database and settings.
_PREFIX = "ELASTIC_"

#: What a shell returns for a program that is not there.
_NOT_FOUND = 127


class RayExecutor(Executor):
    """Runs each command as a program on a node of a Ray cluster.

    A node needs Elastic, the DAG file (at the same path, or as a bundle), and a way to the metadata database, which
    cannot be a file of this machine where there are several nodes. Ray's own retries are off: whether a task is tried
    again is the scheduler's matter.

    Args:
        parallelism: How many commands are given to the cluster at the same time; those it has no room for wait there.
        cluster: `local` for an embedded Ray, `auto`, or `host:port`; by default `RAY_ADDRESS`, else embedded.
    """

    heeds: ClassVar[frozenset[str]] = frozenset(("resources",))

    def __init__(self, parallelism: int = 16, cluster: str | None = None) -> None:
        super().__init__(parallelism)
        self._cluster = cluster or os.environ.get("RAY_ADDRESS") or "local"
        self._remote: Any = None
        self._refs: dict[Any, TaskKey] = {}

    def start(self, runner: Runner | None = None) -> None:
        from elastic.stages.ray_backend.environment import prepare

        prepare(self._cluster)
        from elastic.stages.ray_backend.connection import connect

        connect(self._cluster)
        import ray

        self._remote = ray.remote(max_retries=0)(run_on_node)

    def execute_async(self, key: TaskKey, command: TaskCommand, queue: str) -> None:
        # As an argument and not as part of Ray's environment, which its state API shows to everybody.
        variables = {name: value for name, value in os.environ.items() if name.startswith(_PREFIX)}
        options = {**options_of(command.resources), "name": str(key)}
        self._refs[self._remote.options(**options).remote(command.words, variables)] = key

    def sync(self, timeout: float) -> None:
        import ray

        if not self._refs:
            super().sync(timeout)
            return
        ended, _ = ray.wait(list(self._refs), num_returns=1, timeout=timeout)
        more, _ = ray.wait(list(self._refs), num_returns=len(self._refs), timeout=0)
        for ref in {*ended, *more}:
            self._take(ref)

    def kill(self, key: TaskKey) -> None:
        import ray

        for ref in [ref for ref, one in self._refs.items() if one == key]:
            ray.cancel(ref, force=True)

    def terminate(self) -> None:
        super().terminate()
        self._refs.clear()

    def _take(self, ref: Any) -> None:
        import ray

        key = self._refs.pop(ref)
        try:
            code, said = ray.get(ref, timeout=60)
        except ray.exceptions.RayError as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            said = f"its process on the cluster was lost ({type(error).__name__}: {first})"
            self.change_state(key, TaskState.FAILED, error=said)
            return
        if code == 0:
            self.change_state(key, TaskState.SUCCESS, exit_code=0)
        else:
            said = said or f"its process was ended with {ending_of(code)}"
            self.change_state(key, TaskState.FAILED, exit_code=code, error=said)


def options_of(resources: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Ray is asked for: a CPU where the task does not say."""
    options: dict[str, Any] = {"num_cpus": resources.get("cpus", 1)}
    if resources.get("memory"):
        options["memory"] = resources["memory"]
    if resources.get("custom"):
        options["resources"] = dict(resources["custom"])
    return options


def run_on_node(words: tuple[str, ...], variables: Mapping[str, str]) -> tuple[int, str]:
    """Run a command on the node where this is called; return its exit code, and why it did not start at all."""
    environment = {**os.environ, **variables}
    try:
        done = subprocess.run(words, env=environment, stdin=subprocess.DEVNULL, check=False)  # noqa: S603
    except OSError as error:
        return _NOT_FOUND, f"its program could not be started on the cluster ({error})"
    return done.returncode, ""
