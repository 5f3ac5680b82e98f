"""Worker: runs the attempts of some queues that masters leave in the database, possibly on another host than they."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from elastic.core.errors import ElasticError
from elastic.core.text import error_text
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.db import queries, transitions
from elastic.db.known_secrets import hide_known_secrets
from elastic.db.records import AttemptResult, DagRun, QueueRequest, TaskInstanceRow
from elastic.db.stores.jobs import WORKER_JOB, end_job, heartbeat, start_job
from elastic.executors.executor import ExecutorEvent
from elastic.executors.local import LocalExecutor
from elastic.scheduler.attempts.attempt_request import command_of, request_of, shown_command
from elastic.scheduler.attempts.process_identity import host_and_boot, new_owner
from elastic.scheduler.commands.run_task import record_result
from elastic.scheduler.decisions.dag_spec import DagSpec
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.signals import DeferredSignals, TerminateRequested
from elastic.scheduler.supervisor.lease_keeper import LeaseKeeper
from elastic.scheduler.supervisor.running_attempts import RunningAttempt, deadline_after, lost_result
from elastic.scheduler.supervisor.state_changes import OUTAGE_BACKOFF, OUTAGES
from elastic.service.file_runners import FileAttemptRunner
from elastic.service.parsing.last_good_sources import LastGoodSources
from elastic.service.stored_dags import StoredDags

#: Seconds between looks for attempts: after one was found, and at most.
_MIN_POLL_SECONDS, _MAX_POLL_SECONDS = 0.1, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """Options of a worker."""

    #: home folder of this installation on this host
    home: Path
    #: folder of DAG files on this host
    folder: Path
    #: queues whose tasks the worker runs
    queues: tuple[str, ...]
    #: tasks that run at the same time
    concurrency: int


@dataclass(frozen=True, slots=True)
class _Running:
    """Attempt that this worker has taken, with its DAG."""

    attempt: RunningAttempt
    dag: DagSpec


class TaskWorker:
    """Worker of the service: takes attempts of its queues from the database, runs them, and records how they ended.

    It needs the database and the DAG files, and no connection to a master. Each attempt runs under a lease that the
    worker renews. If the worker dies, its leases run out, and a master queues the attempts again.

    Args:
        deployment: Database, folders and limits.
        options: What the worker does.
        say: Receives progress messages, one line at a time.
    """

    def __init__(self, deployment: Deployment, options: WorkerOptions, say: Callable[[str], None]) -> None:
        # Processes that are forked from this one mask the same secrets.
        hide_known_secrets()
        self._deployment, self._options, self._say = deployment, options, say
        self.owner = new_owner()
        self._host, _ = host_and_boot()
        self._dags = StoredDags(deployment.database)
        self._executor = LocalExecutor(options.concurrency)
        self._keeper = LeaseKeeper.of(deployment, "the worker", self.owner, say)
        self._signals = DeferredSignals()
        self._job_id = 0
        self._heartbeat_at = self._take_at = 0.0
        self._poll_seconds = _MIN_POLL_SECONDS
        self._is_stopping = False
        self._running: dict[TaskKey, _Running] = {}
        #: events whose results are not recorded yet
        self._events: dict[TaskKey, ExecutorEvent] = {}
        self._tries = 0

    def run(self) -> None:
        """Run until a signal stops the worker."""
        database, options = self._deployment.database, self._options
        self._job_id = self._start_job()
        with self._signals:
            try:
                self._keeper.beat(self._job_id)
                self._executor.start(FileAttemptRunner(self._deployment, LastGoodSources.of(options.home)))
                self._say(
                    f"worker {self.owner} serves {', '.join(options.queues)} of {database.url}, "
                    f"with the DAG folder {options.folder}"
                )
                self._loop()
            except BaseException:
                self._stop(is_kill=True)
                end_job(database, self._job_id, "failed")
                raise
            self._stop(is_kill=False)
        end_job(database, self._job_id, "success")

    def _start_job(self) -> int:
        return start_job(
            self._deployment.database,
            WORKER_JOB,
            executor=self._executor.title,
            queues=self._options.queues,
            parallelism=self._options.concurrency,
        )

    def _loop(self) -> None:
        deadline = float("inf")
        while time.monotonic() < deadline and not (self._is_stopping and not self._running):
            try:
                self._turn()
                with self._signals.deliver():
                    self._executor.heartbeat(self._seconds_to_wait())
            except (KeyboardInterrupt, TerminateRequested):
                if self._is_stopping:
                    self._say("stopping at once")
                    return
                deadline = time.monotonic() + self._begin_stop()
            except OUTAGES as error:
                self._wait_for_database(error)

    def _turn(self) -> None:
        self._send_heartbeat()
        self._record()
        if not self._is_stopping and time.monotonic() >= self._take_at:
            self._take()
        if self._tries:
            self._say(f"the database answers again; {len(self._executor.running)} tasks went on")
            self._tries = 0

    def _begin_stop(self) -> float:
        """Take no further attempts; return the seconds that the running ones get."""
        self._is_stopping = True
        grace: float = self._deployment.settings["scheduler.grace_timeout"]
        count = len(self._executor.running)
        self._say(f"stopping{f'; waiting up to {grace:g} s for {count} running tasks' if count else ''}")
        return grace

    def _wait_for_database(self, error: Exception) -> None:
        """Wait before the next try while the database is away; the tasks go on, and their results are kept."""
        if not self._tries:
            self._say(f"{error_text(error).removesuffix('.')}; the tasks of this worker go on, and it tries again.")
        self._tries += 1
        self._heartbeat_at = 0.0
        # Returns early at the end of a task, whose result waits for the database.
        until = time.monotonic() + OUTAGE_BACKOFF.delay(self._tries)
        with self._signals.deliver():
            while (left := until - time.monotonic()) > 0:
                self._executor.heartbeat(left)
                self._events.update(self._executor.get_event_buffer())

    def _send_heartbeat(self) -> None:
        """Renew the leases and send the heartbeat of the job, if they are due; kill what this worker lost."""
        if time.monotonic() < self._heartbeat_at:
            return
        database = self._deployment.database
        held = transitions.renew(database, self.owner, self._deployment.lease)
        if not heartbeat(database, self._job_id):
            # A master took this worker for dead, for example while the database was away.
            self._job_id = self._start_job()
        self._keeper.beat(self._job_id)
        self._heartbeat_at = time.monotonic() + self._deployment.renewal_interval
        for key, one in self._running.items():
            if one.attempt.attempt_uuid not in held or one.attempt.is_overdue:
                # If it has just finished, its result arrives as an event.
                self._executor.kill(key)

    def _take(self) -> None:
        """Take as many attempts as there are free places."""
        free = self._executor.free
        found = []
        if free:
            found = transitions.take_attempts(
                self._deployment.database, self.owner, self._deployment.lease, self._options.queues, free
            )
        for row in found:
            self._start(row)
        self._poll_seconds = _MIN_POLL_SECONDS if found else min(2 * self._poll_seconds, _MAX_POLL_SECONDS)
        self._take_at = time.monotonic() + self._poll_seconds

    def _start(self, row: TaskInstanceRow) -> None:
        """Start an attempt; one that cannot start fails with the reason."""
        run = queries.run_of_id(self._deployment.database, row.dag_id, row.run_id)
        if run is None:
            return
        try:
            one = self._prepared(run, row)
        except ElasticError as error:
            reason = f"worker {self._host} cannot run it: {error_text(error)}"
            self._say(f"{row.key}: {reason}")
            failed = AttemptResult(
                attempt_uuid=row.attempt_uuid or "",
                state=TaskState.UP_FOR_RETRY if row.try_number < row.max_tries else TaskState.FAILED,
                expected=TaskState.QUEUED,
                error=reason,
                retry_in=0.0,
                callback=TaskState.UP_FOR_RETRY if row.try_number < row.max_tries else TaskState.FAILED,
            )
            transitions.finish(self._deployment.database, failed)
            return
        self._running[row.key] = one
        task, request = one.dag.tasks[row.task_id], one.attempt.request
        self._say(f"Running: {shown_command(one.dag, request)}")
        self._executor.queue_command(row.key, command_of(one.dag, task, request), task.queue)

    def _prepared(self, run: DagRun, row: TaskInstanceRow) -> _Running:
        """Return an attempt with its DAG, whose file is looked for in the DAG folder of this host.

        Raises:
            ElasticError: The DAG is not stored, or its file is not in the folder.
        """
        spec = self._dags.get(run.structure_digest or "").spec
        path = self._local_path(spec)
        spec = replace(spec, fileloc=str(path), root=str(self._options.folder))
        if row.task_id not in spec.tasks:
            raise ElasticError(f"the version of the DAG with which the run began has no task {row.task_id!r}.")
        request = replace(
            request_of(run, row),
            is_claimed=False,
            fileloc=spec.fileloc,
            root=spec.root,
            remark=self._remark(run, path),
        )
        limit = spec.tasks[row.task_id].execution_timeout
        attempt = RunningAttempt(
            request=request,
            queue_request=QueueRequest(key=row.key, attempt_uuid=row.attempt_uuid or ""),
            deadline=deadline_after(limit.total_seconds() if limit else None),
        )
        return _Running(attempt, spec)

    def _local_path(self, spec: DagSpec) -> Path:
        """Return the file of a DAG in the DAG folder of this host: at the same place as in that of the parser."""
        folder, path, root = self._options.folder, PurePath(spec.fileloc), PurePath(spec.root)
        if ".." in path.parts or not path.is_relative_to(root):
            raise ElasticError(f"its file {path} is outside of the DAG folder {root} of the parser; move it there.")
        found = folder / path.relative_to(root)
        if not found.is_file():
            raise ElasticError(f"its file {found} does not exist; copy the DAG folder of the master to this host.")
        return found

    def _remark(self, run: DagRun, path: Path) -> str:
        """Return a sentence if the file differs from the source with which the run began; empty if it does not."""
        present = hashlib.sha256(path.read_bytes()).hexdigest()
        if run.source_digest in (None, present):
            return ""
        return (
            f"the code of {path.name} on {self._host} is {present[:12]}, "
            f"and the run began with {(run.source_digest or '')[:12]}"
        )

    def _record(self) -> None:
        """Record how the attempts ended whose events have arrived."""
        self._events.update(self._executor.get_event_buffer())
        for key, event in list(self._events.items()):
            found = self._running.get(key)
            result = None if found is None else self._result_of(found, event)
            if found is not None and result is not None:
                record_result(self._deployment, found.dag.tasks, found.attempt.request, result)
            # Only now, because the database may have gone away before.
            del self._events[key]
            self._running.pop(key, None)
            self._take_at, self._poll_seconds = 0.0, _MIN_POLL_SECONDS

    def _result_of(self, found: _Running, event: ExecutorEvent) -> AttemptResult | None:
        if isinstance(event.account, AttemptResult):
            return event.account
        task = found.dag.tasks[event.key.task_id]
        return lost_result(self._deployment.database, task, found.attempt, event)

    def _seconds_to_wait(self) -> float:
        now = time.monotonic()
        waits = [self._heartbeat_at - now]
        if not self._is_stopping and self._executor.free:
            waits.append(self._take_at - now)
        return max(0.0, min(waits))

    def _stop(self, *, is_kill: bool) -> None:
        """End all processes, and give back what this worker holds."""
        if is_kill or self._executor.running or self._executor.queued:
            if self._executor.running:
                self._say(f"killing {len(self._executor.running)} tasks; they run again elsewhere")
            self._executor.terminate()
        else:
            self._executor.end()
        self._keeper.stop()
        try:
            if not is_kill:
                self._record()
            transitions.release_leases(self._deployment.database, self.owner)
        except ElasticError as error:
            self._say(f"its leases run out by themselves ({error_text(error)})")
