"""Ray executor: runs commands on a Ray cluster with the CPUs, memory and custom resources of their tasks."""

import os
import subprocess
from collections.abc import Mapping
from typing import Any, ClassVar

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.executors.executor import Executor, Runner, TaskCommand
from elastic.executors.worker_process import exit_description

#: Prefix of the environment variables that a command needs on a node to find the database and the settings.
_VARIABLE_PREFIX = "ELASTIC_"

#: Exit code of a shell for a missing program.
_NOT_FOUND = 127


class RayExecutor(Executor):
    """Executor that runs each command as a program on a node of a Ray cluster.

    A node needs Elastic, the DAG file (at the same path, or as a bundle), and access to the metadata database. With
    several nodes, the database cannot be a SQLite file. Ray's own retries are off, because the scheduler decides
    about retries.

    Args:
        parallelism: Maximum number of commands submitted to the cluster; Ray queues those that do not fit.
        cluster: `local` for an embedded Ray, `auto`, or `host:port`; by default `RAY_ADDRESS`, else embedded.
    """

    heeds: ClassVar[frozenset[str]] = frozenset(("resources",))

    def __init__(self, parallelism: int = 16, cluster: str | None = None) -> None:
        super().__init__(parallelism)
        self._cluster = cluster or os.environ.get("RAY_ADDRESS") or "local"
        self._remote: Any = None
        self._refs: dict[Any, TaskKey] = {}

    def start(self, runner: Runner | None = None) -> None:
        from elastic.stages.ray_backend.startup.environment import prepare

        prepare(self._cluster)
        from elastic.stages.ray_backend.startup.connection import connect

        connect(self._cluster)
        import ray

        self._remote = ray.remote(max_retries=0)(run_on_node)

    def execute_async(self, key: TaskKey, command: TaskCommand, queue: str) -> None:
        # Passed as an argument, because Ray's state API shows the environment of a task to all users.
        variables = {name: value for name, value in os.environ.items() if name.startswith(_VARIABLE_PREFIX)}
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
            self._collect(ref)

    def kill(self, key: TaskKey) -> None:
        import ray

        for ref in [ref for ref, one in self._refs.items() if one == key]:
            ray.cancel(ref, force=True)

    def terminate(self) -> None:
        super().terminate()
        self._refs.clear()

    def _collect(self, ref: Any) -> None:
        import ray

        key = self._refs.pop(ref)
        try:
            code, why = ray.get(ref, timeout=60)
        except ray.exceptions.RayError as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            why = f"its process on the cluster was lost ({type(error).__name__}: {first})"
            self.change_state(key, TaskState.FAILED, error=why)
            return
        if code == 0:
            self.change_state(key, TaskState.SUCCESS, exit_code=0)
        else:
            why = why or f"its process was ended with {exit_description(code)}"
            self.change_state(key, TaskState.FAILED, exit_code=code, error=why)


def options_of(resources: Mapping[str, Any]) -> dict[str, Any]:
    """Return Ray's resource options; by default, one CPU."""
    options: dict[str, Any] = {"num_cpus": resources.get("cpus", 1)}
    if resources.get("memory"):
        options["memory"] = resources["memory"]
    if resources.get("custom"):
        options["resources"] = dict(resources["custom"])
    return options


def run_on_node(words: tuple[str, ...], variables: Mapping[str, str]) -> tuple[int, str]:
    """Run a command on this node; return its exit code, and why it did not start."""
    environment = {**os.environ, **variables}
    try:
        done = subprocess.run(words, env=environment, stdin=subprocess.DEVNULL, check=False)  # noqa: S603
    except OSError as error:
        return _NOT_FOUND, f"its program could not be started on the cluster ({error})"
    return done.returncode, ""
