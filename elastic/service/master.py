"""Master of the scheduler service: makes due runs, takes runs, runs their tasks, and leaves nothing when it stops."""

import contextlib
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from elastic.config.secret_mask import masked
from elastic.core.errors import ElasticError
from elastic.core.text import error_text
from elastic.db import queries, transitions
from elastic.db.known_secrets import hide_known_secrets
from elastic.db.records import DagRun
from elastic.db.stores.jobs import MASTER_JOB, end_job, fail_dead_jobs, heartbeat, living_jobs, start_job
from elastic.db.stores.workers import places_by_queue
from elastic.db.transitions import RunClaim
from elastic.executors.executor import Executor, ExecutorEvent
from elastic.executors.registry import executor_by_queue
from elastic.scheduler.attempts.process_identity import ProcessIdentity, new_owner
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.signals import DeferredSignals, TerminateRequested
from elastic.scheduler.supervisor.due_callbacks import CallbackQueue
from elastic.scheduler.supervisor.lease_keeper import LeaseKeeper
from elastic.scheduler.supervisor.state_changes import OUTAGE_BACKOFF, OUTAGES
from elastic.service.backfill_planner import BackfillPlanner
from elastic.service.figures import MasterFigures
from elastic.service.file_runners import FileAttemptRunner, FileCallbackRunner
from elastic.service.notification_sender import SenderProcess
from elastic.service.parsing.dag_parser import ParserSetup
from elastic.service.parsing.file_loader import ParseLimits
from elastic.service.parsing.last_good_sources import LastGoodSources
from elastic.service.parsing.parser_process import ParserProcess
from elastic.service.planner import Planner
from elastic.service.run_groups import POSTPONED_SECONDS, RunGroups
from elastic.service.run_waits import run_verdicts
from elastic.service.stored_dags import StoredDags

#: Shortest sleep after a transaction on a SQLite file that several masters share (seconds).
_MIN_BREATH_SECONDS = 0.02

#: DAGs whose waiting runs are looked at with each heartbeat.
_MAX_REPORTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterOptions:
    """Options of a master."""

    #: home folder of this installation on this host
    home: Path
    #: folder of DAG files; None for that of the deployment
    folder: Path | None = None
    #: only these DAGs; empty for all
    dag_ids: tuple[str, ...] = ()
    #: whether the master parses DAG files
    parses: bool = True
    #: stop as soon as nothing is due and no run is active
    once: bool = False
    #: stop after this number of runs has ended; None for no limit
    num_runs: int | None = None
    #: an executor, its class or its name; None for that of the deployment
    executor: object = None


@dataclass(slots=True)
class _Outage:
    """Time during which the database does not answer a master."""

    #: tries that failed; 0 while the database answers
    tries: int = 0
    #: of the first failed try, and the next try, on the clock of `time.monotonic`
    began_at: float = 0.0
    retry_at: float = 0.0


class SchedulerMaster:
    """Master of the scheduler service. Several masters may share a database.

    Each turn makes the runs that are due, takes queued runs and those of dead masters, and drives the runs in hand. The
    master runs no code of users: DAG files are loaded by a parser, and tasks and callbacks run in processes of their
    own.

    Args:
        deployment: Database, folders and limits.
        options: What the master does.
        say: Receives progress messages, one line at a time.
    """

    def __init__(self, deployment: Deployment, options: MasterOptions, say: Callable[[str], None]) -> None:
        # Processes that are forked from this one mask the same secrets.
        hide_known_secrets()
        self._deployment, self._options, self._say = deployment, options, say
        settings = deployment.settings
        self._interval: float = settings["scheduler.loop_interval"]
        self._grace: float = settings["scheduler.grace_timeout"]
        self.owner = new_owner()
        self._folder = (options.folder or deployment.dags_folder).absolute()
        dags = StoredDags(deployment.database)
        self._planner = Planner(
            deployment.database, dags, per_turn=settings["scheduler.catchup_per_turn"], dag_ids=options.dag_ids
        )
        self._backfills = BackfillPlanner(
            deployment.database, dags, per_turn=settings["scheduler.catchup_per_turn"], dag_ids=options.dag_ids
        )
        self._executor: Executor = executor_by_queue(
            options.executor or deployment.executor, deployment.queues, deployment.parallelism
        )
        self._sources = LastGoodSources.of(options.home)
        self._callbacks = CallbackQueue(FileCallbackRunner(deployment, self._sources), say)
        self._groups = RunGroups(deployment, dags, self._executor, self._callbacks, self.owner, say)
        self._parser = ParserProcess(self._parser_setup(), settings["scheduler.scan_interval"])
        self._keeper = LeaseKeeper.of(deployment, "the master", self.owner, say)
        self._sender = SenderProcess(deployment, say)
        self._signals = DeferredSignals()
        self._job_id = 0
        self._heartbeat_at = self._plan_at = 0.0
        self._has_peers = False
        self._is_stopping = False
        #: the wait that was reported last, by DAG
        self._reported: dict[str, str] = {}
        self._ended = 0
        self._outage = _Outage()
        self._figures = MasterFigures()

    def run(self) -> None:
        """Run until a signal stops the master, or until the work that the options name is done."""
        database = self._deployment.database
        self._job_id = self._start_job()
        with self._signals:
            try:
                self._keeper.beat(self._job_id)
                self._executor.start(FileAttemptRunner(self._deployment, self._sources))
                if self._options.parses:
                    self._parser.scan_once()
                self._say(f"master {self.owner} serves {database.url}, with the DAG folder {self._folder}")
                self._loop()
            except BaseException:
                self._kill()
                end_job(database, self._job_id, "failed")
                raise
            self._stop()
        with contextlib.suppress(ElasticError):
            heartbeat(database, self._job_id, self._figures.encoded())
        end_job(database, self._job_id, "success")

    def _start_job(self) -> int:
        return start_job(self._deployment.database, MASTER_JOB, executor=self._executor.title)

    def _loop(self) -> None:
        deadline = float("inf")
        while time.monotonic() < deadline:
            try:
                if self._outage.tries and not self._is_back():
                    continue
                if self._is_done():
                    return
                self._turn()
                with self._signals.deliver():
                    self._executor.heartbeat(self._seconds_to_wait())
            except (KeyboardInterrupt, TerminateRequested):
                if self._is_stopping:
                    self._say("stopping at once")
                    return
                self._begin_stop()
                deadline = time.monotonic() + self._grace
            except OUTAGES as error:
                self._note_outage(error)

    def _turn(self) -> None:
        started = time.monotonic()
        self._do_turn()
        self._figures.turn.observe(time.monotonic() - started)

    def _do_turn(self) -> None:
        self._send_heartbeat()
        if not self._is_stopping:
            if self._options.parses and not self._options.once:
                self._parser.check()
            if time.monotonic() >= self._plan_at:
                self._plan_and_take()
        started = time.monotonic()
        self._ended += self._groups.turn(_by_run(self._executor.get_event_buffer().values()))
        self._callbacks.poll()
        self._sender.check()
        self._breathe(time.monotonic() - started)

    def _plan_and_take(self) -> None:
        started = time.monotonic()
        count = self._planner.turn()
        for seconds in self._planner.take_delays():
            self._figures.scheduling_delay.observe(seconds)
        self._breathe(time.monotonic() - started)
        for ended in self._backfills.turn():
            self._say(ended)
        claims = self._take()
        for missed in transitions.close_due(self._deployment.database):
            self._say(str(missed))
        self._plan_at = time.monotonic()
        if not count and not claims:
            due = transitions.seconds_until_due(self._deployment.database, dag_ids=self._options.dag_ids)
            self._plan_at += self._interval if due is None else min(due, self._interval)

    def _take(self) -> int:
        """Take the runs without a master; return their number."""
        database, lease = self._deployment.database, self._deployment.lease
        started = time.monotonic()
        self._release_claims_of_dead_masters()
        claims = transitions.take_runs(database, self.owner, lease, dag_ids=self._options.dag_ids)
        for claim in claims:
            self._add(claim)
        self._breathe(time.monotonic() - started)
        return len(claims)

    def _add(self, claim: RunClaim) -> None:
        run = claim.run
        try:
            self._groups.add(claim, self._folder)
        except OUTAGES:
            raise
        except Exception as error:
            is_own = isinstance(error, ElasticError)
            reason = error_text(error) if is_own else f"{type(error).__name__}: {masked(error_text(error))}"
            transitions.postpone_run(self._deployment.database, claim, POSTPONED_SECONDS)
            self._report(run, reason, reason)

    def _report_waits(self) -> None:
        """Report why queued runs wait that no master may take."""
        database, wanted = self._deployment.database, self._options.dag_ids
        for run in queries.runs_without_master(database, limit=_MAX_REPORTS):
            found = run_verdicts(database, run, self._deployment.heartbeat)
            obstacle = next((one for one in found if not one.met), None)
            if obstacle is not None and (not wanted or run.dag_id in wanted):
                self._report(run, obstacle.condition, obstacle.reason)

    def _report(self, run: DagRun, kind: str, reason: str) -> None:
        """Report why a run waits, unless a wait of this kind was the last that was reported for its DAG."""
        if self._reported.get(run.dag_id) != kind:
            self._reported[run.dag_id] = kind
            self._say(f"run {run.run_id} of DAG {run.dag_id!r} waits: {reason}")

    def _release_claims_of_dead_masters(self) -> None:
        """Release the claims of masters on this host that have exited, so that waiting for the lease is unnecessary."""
        for owner in transitions.claim_owners(self._deployment.database):
            identity = ProcessIdentity.parse(owner)
            if owner != self.owner and identity is not None and identity.has_exited:
                count = transitions.release_claims(self._deployment.database, owner)
                if count:
                    self._say(f"master {owner} has exited; {count} of its runs may be taken over")

    def _send_heartbeat(self) -> None:
        """Renew the leases of attempts and runs, and send the heartbeat of the job, if they are due."""
        if time.monotonic() < self._heartbeat_at:
            return
        database, deployment = self._deployment.database, self._deployment
        interval = self._deployment.renewal_interval
        self._heartbeat_at = time.monotonic() + interval
        held = transitions.renew(database, self.owner, deployment.lease)
        self._groups.check(held, transitions.renew_claims(database, self.owner, deployment.lease))
        self._figures.db_retries = database.retries
        if not heartbeat(database, self._job_id, self._figures.encoded()):
            # Another master took this one for dead, for example while the database was away.
            self._job_id = self._start_job()
        self._keeper.beat(self._job_id)
        if not self._is_stopping:
            self._groups.queue_left_callbacks(self._folder)
            self._report_waits()
        fail_dead_jobs(database, interval)
        if not self._groups.is_empty:
            transitions.give_back_attempts(database, places_by_queue(database, interval), deployment.lease)
        masters = living_jobs(database, interval, kind=MASTER_JOB)
        self._has_peers = any(one.id != self._job_id for one in masters)

    def _breathe(self, seconds: float) -> None:
        """Leave a shared SQLite file to other masters for about as long as this one held it.

        SQLite serves the process that asks at the right moment, so a busy master would keep the others from writing.
        """
        if self._has_peers and self._deployment.database.is_sqlite and seconds > _MIN_BREATH_SECONDS / 4:
            share = random.uniform(0.5, 1.5)  # noqa: S311 - no secret depends on it
            time.sleep(max(_MIN_BREATH_SECONDS, seconds * share))

    def _seconds_to_wait(self) -> float:
        now = time.monotonic()
        waits = [self._heartbeat_at - now, self._groups.seconds_until_work(), self._interval]
        if not self._is_stopping:
            waits.append(self._plan_at - now)
        if not self._callbacks.is_empty:
            waits.append(0.05)
        return max(0.0, min(waits))

    def _is_done(self) -> bool:
        if self._is_stopping:
            return not self._groups.has_attempts
        if self._options.num_runs is not None and self._ended >= self._options.num_runs:
            return True
        is_idle = self._groups.is_empty and not self._executor.running and self._callbacks.is_empty
        is_over = self._options.once and self._plan_at > 0 and is_idle and not self._take_last()
        return is_over and self._sender.has_finished()

    def _take_last(self) -> int:
        """Plan and take once more before the master ends, because a run may have become due meanwhile."""
        self._plan_and_take()
        return 0 if self._groups.is_empty and not self._backfills.running else 1

    def _begin_stop(self) -> None:
        self._is_stopping = True
        self._groups.close()
        running = len(self._executor.running)
        waits = f"; waiting up to {self._grace:g} s for {running} running tasks" if running else ""
        self._say(f"stopping{waits}")

    def _note_outage(self, error: Exception) -> None:
        """Note that the database is away; the tasks go on, and `_is_back` tries again after a while."""
        outage = self._outage
        self._groups.suspend()
        if not outage.tries:
            outage.began_at = time.monotonic()
            self._say(f"{error_text(error).removesuffix('.')}; the tasks of this master go on, and it tries again.")
        outage.tries += 1
        outage.retry_at = time.monotonic() + OUTAGE_BACKOFF.delay(outage.tries)

    def _is_back(self) -> bool:
        """Wait until the next try, then go on with the runs and tasks that this master still holds."""
        outage = self._outage
        seconds = outage.retry_at - time.monotonic()
        if seconds > 0:
            with self._signals.deliver():
                self._executor.heartbeat(seconds)
            self._groups.suspend(self._executor.get_event_buffer().values())
            return False
        database, lease = self._deployment.database, self._deployment.lease
        attempts = transitions.renew(database, self.owner, lease)
        claims = transitions.renew_claims(database, self.owner, lease)
        # Other masters need a moment to renew their leases as well.
        quiet = self._deployment.renewal_interval if self._has_peers else 0.0
        events = self._groups.resume(self._folder, attempts, claims, quiet)
        self._heartbeat_at, self._plan_at = 0.0, time.monotonic() + quiet
        took = time.monotonic() - outage.began_at
        self._say(f"the database answers again after {took:.0f} s; {len(self._executor.running)} tasks went on")
        self._outage = _Outage()
        self._ended += self._groups.turn(events)
        return True

    def _give_back(self, dag_ids: Iterable[str]) -> None:
        """End the leases of this master, so that its runs and tasks may be taken at once."""
        database = self._deployment.database
        transitions.release_leases(database, self.owner)
        for dag_id in dag_ids:
            transitions.expire(database, dag_id=dag_id, gives_up=False)
        transitions.release_claims(database, self.owner)

    def _record_last_results(self) -> None:
        """Record the results that arrived since the last turn, because the attempts would run again otherwise."""
        self._groups.close()
        if self._outage.tries:
            return
        try:
            self._ended += self._groups.turn(_by_run(self._executor.get_event_buffer().values()))
        except OUTAGES as error:
            self._note_outage(error)

    def _stop(self) -> None:
        """End all processes, and give back what this master holds."""
        self._parser.stop()
        dag_ids = self._groups.dag_ids
        self._record_last_results()
        if self._executor.running or self._executor.queued:
            self._say(f"killing {len(self._executor.running)} tasks; another master runs them again")
            self._executor.terminate()
        else:
            self._executor.end()
        self._callbacks.close()
        self._sender.stop()
        self._try_to_give_back(dag_ids)

    def _kill(self) -> None:
        """End all processes after an internal error; the leases of this master are released if that is possible."""
        self._parser.stop()
        self._executor.terminate()
        self._callbacks.terminate()
        self._sender.stop()
        self._try_to_give_back(self._groups.dag_ids)

    def _try_to_give_back(self, dag_ids: Iterable[str]) -> None:
        # Only now, because ending all processes may take longer than a lease lasts.
        self._keeper.stop()
        try:
            self._give_back(dag_ids)
        except ElasticError as error:
            self._say(f"its leases run out by themselves ({error_text(error)})")

    def _parser_setup(self) -> ParserSetup:
        settings = self._deployment.settings
        limits = ParseLimits(timeout=settings["scheduler.parse_timeout"], memory=settings["scheduler.parse_memory"])
        return ParserSetup(
            database=self._deployment.database,
            folder=self._folder,
            limits=limits,
            owner=self.owner,
            say=self._say,
            sources=self._sources,
        )


def _by_run(events: Iterable[ExecutorEvent]) -> dict[tuple[str, str], list[ExecutorEvent]]:
    found: dict[tuple[str, str], list[ExecutorEvent]] = {}
    for event in events:
        found.setdefault((event.key.dag_id, event.key.run_id), []).append(event)
    return found
