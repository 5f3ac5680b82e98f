"""Triggerer: checks what deferred tasks wait for, and ends their attempts."""

import contextlib
import datetime as dt
import logging
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath

from elastic.core.errors import ElasticError
from elastic.core.text import error_text
from elastic.dag.execution.wait import counted_checks, is_worth_a_line
from elastic.db import transitions
from elastic.db.known_secrets import hide_known_secrets
from elastic.db.records import LogLine
from elastic.db.stores.jobs import TRIGGERER_JOB, end_job, fail_dead_jobs, heartbeat, start_job
from elastic.db.transitions import Checked
from elastic.scheduler.attempts.log_format import TASK_FORMAT, MessageFormatter, log_file
from elastic.scheduler.attempts.process_identity import new_owner
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.signals import DeferredSignals, TerminateRequested
from elastic.scheduler.supervisor.state_changes import OUTAGE_BACKOFF, OUTAGES
from elastic.scheduler.trigger_tools import Tools
from elastic.service.triggerer.check_schedule import CheckSchedule, Outcome
from elastic.service.triggerer.check_threads import CheckThreads
from elastic.service.triggerer.wait_results import checked_of

#: Seconds between looks at the database while something waits, and while nothing does.
_BUSY_SECONDS, _IDLE_SECONDS = 0.2, 1.0

#: Waits that one transaction takes, and waits in hand.
_TAKEN_AT_ONCE, _MAX_IN_HAND = 1000, 10_000

#: Checks that have not ended long after they were given up, from which on the process ends to be started again.
_MAX_STUCK = 256


class Triggerer:
    """Process that checks what deferred tasks wait for. Several triggerers may share a database.

    Each turn leases the waits that are due, asks each question once in a thread, and records all answers that have come
    in one transaction. The process loads no DAG file and never forks. Nothing in its memory matters: after its death
    its leases run out, and another triggerer goes on.

    Args:
        deployment: Database, folders and limits.
        say: Receives progress messages, one line at a time.
    """

    def __init__(self, deployment: Deployment, say: Callable[[str], None]) -> None:
        hide_known_secrets()
        self._deployment, self._say = deployment, say
        self.owner = new_owner()
        self._schedule = CheckSchedule()
        self._threads = CheckThreads(Tools(deployment.database))
        self._signals = DeferredSignals()
        self._job_id = 0
        self._heartbeat_at = 0.0
        #: results that are not recorded yet, because the database is away
        self._unrecorded: list[Checked] = []
        self._failed_tries = 0

    def run(self) -> None:
        """Run until a signal stops the triggerer."""
        database = self._deployment.database
        self._job_id = start_job(database, TRIGGERER_JOB)
        with self._signals:
            try:
                self._say(f"triggerer {self.owner} serves {database.url}")
                while True:
                    wait = self.turn()
                    with self._signals.deliver():
                        self.collect(wait)
            except (KeyboardInterrupt, TerminateRequested):
                self._say("stopping")
            except BaseException:
                self._stop("failed")
                raise
            self._stop("success")

    def turn(self) -> float:
        """Record the answers that have come, and ask what is due; return the seconds until the next turn."""
        try:
            self._send_heartbeat()
            self._record()
            wait = self._take()
        except OUTAGES as error:
            self._failed_tries += 1
            if self._failed_tries == 1:
                self._say(f"{error_text(error).removesuffix('.')}; the triggerer tries again.")
            return OUTAGE_BACKOFF.delay(self._failed_tries)
        if self._failed_tries:
            self._failed_tries = 0
            self._say("the database answers again")
        now = time.monotonic()
        for question in self._schedule.start(now):
            self._threads.ask(question)
        self._keep([*self._schedule.give_up(now), *self._schedule.overdue(now)])
        if self._schedule.stuck > _MAX_STUCK:
            raise ElasticError(f"{self._schedule.stuck} checks do not end; the triggerer ends to be started again.")
        return 0.0 if self._unrecorded else wait

    def _take(self) -> float:
        """Lease waits that are due; return the seconds until the next look."""
        database = self._deployment.database
        until = transitions.seconds_until_check(database)
        if until is None:
            return _BUSY_SECONDS if self._schedule.count else _IDLE_SECONDS
        free = _MAX_IN_HAND - self._schedule.count
        if until > 0 or free <= 0:
            return min(max(until, 0.01), _BUSY_SECONDS)
        limit = min(free, _TAKEN_AT_ONCE)
        found = transitions.take_waits(
            database, self.owner, self._deployment.lease, limit=limit, full=self._schedule.full
        )
        self._schedule.add(found, time.monotonic())
        return 0.0 if len(found) == limit else _BUSY_SECONDS

    def collect(self, wait: float) -> None:
        """Wait for the first answer, and take all that have come."""
        try:
            first = self._threads.results.get(timeout=wait) if wait > 0 else self._threads.results.get_nowait()
        except queue.Empty:
            return
        now = time.monotonic()
        self._keep(self._schedule.finish(*first, now))
        with contextlib.suppress(queue.Empty):
            while True:
                self._keep(self._schedule.finish(*self._threads.results.get_nowait(), now))

    def _keep(self, outcomes: Sequence[Outcome]) -> None:
        self._unrecorded += [checked_of(one.wait, one.next) for one in outcomes]

    def _record(self) -> None:
        """Record the results that have come, in one transaction."""
        if not self._unrecorded:
            return
        lines = [line for one in self._unrecorded for line in self._lines(one)]
        stored = lines if self._deployment.lines_in_database else []
        try:
            transitions.record_checks(self._deployment.database, self.owner, self._unrecorded, stored)
        except OUTAGES:
            raise
        except Exception as error:
            self._record_one_by_one(error)
        checked, self._unrecorded = self._unrecorded, []
        for one in checked:
            self._append(one)

    def _record_one_by_one(self, error: Exception) -> None:
        """Record each result alone, because the database refused them together."""
        self._say(f"recording {len(self._unrecorded)} results one by one: {error_text(error)}")
        for one in self._unrecorded:
            try:
                transitions.record_checks(self._deployment.database, self.owner, [one])
            except OUTAGES:
                raise
            except Exception as refusal:
                self._say(f"the result of {one.wait.key} cannot be recorded: {error_text(refusal)}")

    def _lines(self, checked: Checked) -> Iterator[LogLine]:
        """Yield the log lines about a check: the 1st, 2nd, 4th and so on, and the last one."""
        found = _message(checked)
        if found is None:
            return
        key, settings = checked.wait.key, checked.wait.settings
        yield LogLine(
            dag_id=key.dag_id,
            run_id=key.run_id,
            run_attempt=settings.run_attempt,
            task_id=key.task_id,
            map_index=key.map_index,
            attempt_uuid=checked.wait.attempt_uuid,
            at=dt.datetime.now(dt.UTC),
            logger=key.task_id,
            level=logging.getLevelName(found[0]),
            message=found[1],
        )

    def _append(self, checked: Checked) -> None:
        """Append the line about a check to the log file of the attempt, which is opened for this line only."""
        found, path = _message(checked), PurePosixPath(checked.wait.settings.log_path)
        if found is None or not path.parts or path.is_absolute() or ".." in path.parts:
            return
        level, text = found
        record = logging.LogRecord("elastic.task", level, "triggerer", 0, text, None, None)
        with contextlib.suppress(OSError, ElasticError):
            handler = log_file(self._deployment.logs / path)
            handler.setFormatter(MessageFormatter(TASK_FORMAT))
            handler.emit(record)
            handler.close()

    def _send_heartbeat(self) -> None:
        """Renew the leases and send the heartbeat of the job, if they are due."""
        now = time.monotonic()
        if now < self._heartbeat_at:
            return
        database, deployment = self._deployment.database, self._deployment
        self._heartbeat_at = now + deployment.renewal_interval
        if self._schedule.count:
            transitions.renew_waits(database, self.owner, deployment.lease)
        if not heartbeat(database, self._job_id):
            self._job_id = start_job(database, TRIGGERER_JOB)
        fail_dead_jobs(database, deployment.renewal_interval)

    def _stop(self, state: str) -> None:
        """Record the last results, and give up the leases."""
        database = self._deployment.database
        try:
            self._record()
            transitions.release_waits(database, self.owner)
            end_job(database, self._job_id, state)
        except ElasticError as error:
            self._say(f"its leases run out by themselves ({error_text(error)})")


def _message(checked: Checked) -> tuple[int, str] | None:
    """Return level and text of the log line about a check; None if it is not worth one."""
    following = checked.next
    checks, reason = following.progress.checks, following.progress.reason
    if following.answer is not None:
        return logging.INFO, f"condition met after {counted_checks(checks)}: {following.answer.reason or 'it holds'}"
    if following.check_in is None:
        return logging.ERROR, following.failure
    if is_worth_a_line(checks):
        return logging.INFO, f"check {checks}: {reason or 'the condition does not hold yet'}"
    return None
