"""Run groups of a master: the runs in hand, by DAG and version, which share one executor."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from elastic.config.secret_mask import masked
from elastic.core.errors import ElasticError
from elastic.core.text import error_text
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import RunState
from elastic.db import queries, transitions
from elastic.db.records import DagRun
from elastic.db.transitions import RunClaim
from elastic.executors.executor import Executor, ExecutorEvent
from elastic.executors.local import KILL_GRACE_SECONDS
from elastic.scheduler.commands.planning import make_instances, previous_states_of
from elastic.scheduler.decisions.inputs import Overrides
from elastic.scheduler.decisions.run_states import RunSpec
from elastic.scheduler.decisions.run_tracker import RunTracker
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.supervisor.due_callbacks import MAX_CALLS, CallbackQueue, DueCallbacks
from elastic.scheduler.supervisor.run_group import GroupSetup, RunGroup
from elastic.scheduler.supervisor.running_attempts import RunningAttempt
from elastic.scheduler.supervisor.state_changes import OUTAGES
from elastic.service.stored_dags import StoredDag, StoredDags

#: Seconds until a run that cannot run now is looked at again.
POSTPONED_SECONDS = 30.0

#: Seconds until a run is taken again whose earlier attempt has not ended yet.
RETAKEN_SECONDS = 1.0

#: A DAG and the digest of its structure.
_GroupKey = tuple[str, str]


@dataclass(slots=True)
class _Group:
    """Run group with the stored DAG that it follows."""

    stored: StoredDag
    group: RunGroup

    @property
    def needs_previous(self) -> bool:
        return any(task.depends_on_past for task in self.stored.spec.tasks.values())


@dataclass(slots=True)
class _Suspended:
    """Runs and attempts of a master while its database is away."""

    claims: dict[tuple[str, str], RunClaim] = field(default_factory=dict)
    attempts: dict[str, RunningAttempt] = field(default_factory=dict)
    events: dict[TaskKey, ExecutorEvent] = field(default_factory=dict)


class RunGroups:
    """Runs in hand. Each turn drives all groups; first comes the one that has started no attempt for the longest time.

    Args:
        deployment: Database, folders and limits.
        dags: Stored DAGs.
        executor: Executor of all attempts.
        callbacks: Queue of callbacks that tasks did not call themselves.
        owner: Owner of leases and claims.
        say: Receives progress messages, one line at a time.
    """

    def __init__(
        self,
        deployment: Deployment,
        dags: StoredDags,
        executor: Executor,
        callbacks: CallbackQueue,
        owner: str,
        say: Callable[[str], None],
    ) -> None:
        self._deployment, self._dags, self._executor = deployment, dags, executor
        self._callbacks, self._owner, self._say = callbacks, owner, say
        self._groups: dict[_GroupKey, _Group] = {}
        self._group_of: dict[tuple[str, str], _GroupKey] = {}
        #: events that no group has received yet
        self._undelivered: dict[_GroupKey, list[ExecutorEvent]] = {}
        #: slots by pool that the attempts of all groups use
        self._used = Counter[str]()
        self._suspended = _Suspended()
        #: attempts whose callbacks were queued for runs of other masters
        self._left: set[str] = set()
        self._is_closed = False

    @property
    def is_empty(self) -> bool:
        """Whether no run is in hand."""
        return not self._group_of and not self._suspended.claims

    @property
    def dag_ids(self) -> list[str]:
        """The DAGs with runs in hand."""
        return sorted({dag_id for dag_id, _ in (*self._group_of, *self._suspended.claims)})

    @property
    def has_attempts(self) -> bool:
        """Whether an attempt runs whose result is not recorded yet."""
        return bool(self._suspended.attempts) or any(found.group.attempts.running for found in self._groups.values())

    def add(self, claim: RunClaim, folder: Path) -> None:
        """Add a run that this master has taken.

        A run that is queued follows the present version of its DAG. A run that was active before follows the version
        that it began with.

        Raises:
            ElasticError: The DAG is not stored, or its file is outside of the DAG folder.
        """
        claim = self._with_version(claim)
        run = claim.run
        key = (run.dag_id, run.structure_digest or "")
        if (run.dag_id, run.run_id) in self._group_of:
            runs = self._groups[self._group_of[run.dag_id, run.run_id]].group.runs
            if run.run_id in runs.over:
                # An attempt from before still runs; once it has ended, the run may begin again.
                transitions.postpone_run(self._deployment.database, claim, RETAKEN_SECONDS)
            else:
                runs.claims[run.run_id] = claim
            return
        if key not in self._groups:
            self._groups[key] = self._new_group(key, folder)
        found = self._groups[key]
        try:
            self._add_to(found, claim)
        except BaseException:
            found.group.tracker.discard(run.run_id)
            if not found.group.runs.by_id:
                del self._groups[key]
            raise
        self._group_of[run.dag_id, run.run_id] = key

    def _add_to(self, found: _Group, claim: RunClaim) -> None:
        run, group, tasks = claim.run, found.group, list(found.stored.spec.tasks.values())
        previous = previous_states_of(self._deployment.database, run, tasks) if found.needs_previous else None
        group.tracker.add(
            RunSpec(
                dag_id=run.dag_id,
                run_id=run.run_id,
                logical_date=run.logical_date,
                interval_end=run.data_interval_end,
                previous_states=previous,
            )
        )
        make_instances(self._deployment.database, tasks, [run], group.tracker)
        group.runs.add(claim)

    def turn(self, events: Mapping[tuple[str, str], Sequence[ExecutorEvent]]) -> int:
        """Drive all groups by one turn; return the number of runs that ended.

        If a group fails, its runs are postponed, and the others go on.
        """
        self._undelivered = {}
        for run, found in events.items():
            if run in self._group_of:
                self._undelivered.setdefault(self._group_of[run], []).extend(found)
        self._used = Counter[str]()
        for one in self._groups.values():
            self._used += one.group.slots_in_use()
        return sum(self._try_turn_of(key) for key in list(self._groups))

    def check(self, attempts: Collection[str], claims: Collection[tuple[str, str]]) -> None:
        """Kill the attempts, and release the runs, that this master no longer holds.

        Args:
            attempts: The attempts whose leases were just renewed.
            claims: The runs (DAG and run id) whose leases were just renewed.
        """
        for (dag_id, run_id), key in list(self._group_of.items()):
            runs = self._groups[key].group.runs
            if (dag_id, run_id) not in claims and run_id not in runs.over:
                self._say(f"another master has taken over run {run_id} of DAG {dag_id!r}")
                runs.release(run_id)
        for key, found in list(self._groups.items()):
            try:
                found.group.check_attempts(attempts)
            except OUTAGES:
                raise
            except Exception as error:
                self._set_aside(key, error)

    def queue_left_callbacks(self, folder: Path) -> None:
        """Queue the callbacks that an ended process has left, of runs and attempts that no group looks after.

        Args:
            folder: Folder of DAG files.
        """
        for due in transitions.take_run_callbacks(self._deployment.database):
            if due.calls > MAX_CALLS:
                transitions.finish_run_callbacks(self._deployment.database, due)
                self._say(
                    f"the callbacks of run {due.run_id} of DAG {due.dag_id!r} are given up: "
                    f"{MAX_CALLS} processes could not call them to the end"
                )
                continue
            found = self._callbacks_of(due.dag_id, due.run_id, folder)
            if found is not None:
                found[0].queue_for_run(found[1], due)
        for attempt in queries.due_callbacks(self._deployment.database):
            is_known = attempt.attempt_uuid in self._left or (attempt.dag_id, attempt.run_id) in self._group_of
            found = None if is_known else self._callbacks_of(attempt.dag_id, attempt.run_id, folder)
            if found is not None:
                self._left.add(attempt.attempt_uuid)
                found[0].queue_for_attempt(attempt)

    def _callbacks_of(self, dag_id: str, run_id: str, folder: Path) -> tuple[DueCallbacks, DagRun] | None:
        """Return a caller of the callbacks of a run of the service; None if its DAG is not stored."""
        run = queries.run_of_id(self._deployment.database, dag_id, run_id)
        if run is None or not run.is_served:
            return None
        try:
            stored = self._stored(run.structure_digest or "", folder)
        except ElasticError as error:
            self._say(f"the callbacks of run {run_id} of DAG {dag_id!r} wait: {error_text(error)}")
            return None
        return DueCallbacks(self._deployment, stored.spec, {run_id: run}, self._callbacks), run

    def seconds_until_work(self) -> float:
        """Return the seconds until a group has work that no event announces; infinite if there is no group."""
        return min((found.group.seconds_until_work() for found in self._groups.values()), default=float("inf"))

    def close(self) -> None:
        """Start no further attempt; those that run go on."""
        self._is_closed = True
        for found in self._groups.values():
            found.group.dispatcher.is_closed = True

    def suspend(self, events: Iterable[ExecutorEvent] = ()) -> None:
        """Keep all runs and attempts, but not the states of the groups, which may differ from those of the database.

        Attempts that run go on. May be called again before `resume`, with the events that arrived meanwhile.
        """
        kept = self._suspended
        for key, found in self._groups.items():
            attempts, unrecorded = found.group.in_flight()
            kept.attempts.update({one.attempt_uuid: one for one in attempts})
            kept.events.update({one.key: one for one in (*unrecorded, *self._undelivered.get(key, ()))})
            kept.claims.update({(key[0], run_id): claim for run_id, claim in found.group.runs.claims.items()})
        kept.events.update({one.key: one for one in events})
        self._undelivered = {}
        self._groups.clear()
        self._group_of.clear()

    def resume(
        self, folder: Path, attempts: Collection[str], claims: Collection[tuple[str, str]], quiet_seconds: float
    ) -> dict[tuple[str, str], list[ExecutorEvent]]:
        """Go on after `suspend` with what this master still holds; kill the other attempts, and give back the rest.

        Args:
            folder: Folder of DAG files.
            attempts: The attempts whose leases were just renewed.
            claims: The runs (DAG and run id) whose leases were just renewed.
            quiet_seconds: Seconds during which the attempts of other masters are left alone, so that they can renew
                their leases as well.

        Returns:
            The events of attempts that go on, by run, for the next turn.
        """
        kept, database = self._suspended, self._deployment.database
        for key, claim in kept.claims.items():
            run = queries.run_of_id(database, *key) if key in claims else None
            if run is not None:
                self._try_to_add(replace(claim, run=run), folder)
        transitions.release_claims(database, self._owner, runs=[key for key in claims if key not in self._group_of])
        adopted = self._adopt([one for uuid, one in kept.attempts.items() if uuid in attempts], quiet_seconds)
        self._stop_others(set(attempts), adopted)
        events: dict[tuple[str, str], list[ExecutorEvent]] = {}
        for event in kept.events.values():
            if event.key in adopted:
                events.setdefault((event.key.dag_id, event.key.run_id), []).append(event)
        if self._is_closed:
            self.close()
        self._suspended = _Suspended()
        return events

    def _try_to_add(self, claim: RunClaim, folder: Path) -> None:
        try:
            self.add(claim, folder)
        except OUTAGES:
            raise
        except Exception as error:
            run = claim.run
            self._say(f"run {run.run_id} of DAG {run.dag_id!r} is taken again later ({masked(error_text(error))})")

    def _adopt(self, attempts: Iterable[RunningAttempt], quiet_seconds: float) -> dict[TaskKey, str]:
        """Give attempts back to the groups of their runs; return the ids of those whose runs this master has."""
        by_group: dict[_GroupKey, list[RunningAttempt]] = {key: [] for key in self._groups}
        for one in attempts:
            group = self._group_of.get((one.key.dag_id, one.key.run_id))
            if group is not None:
                by_group[group].append(one)
        for key, found in by_group.items():
            self._groups[key].group.adopt(found, quiet_seconds)
        return {one.key: one.attempt_uuid for found in by_group.values() for one in found}

    def _stop_others(self, held: set[str], adopted: Mapping[TaskKey, str]) -> None:
        """Kill the attempts that no group has, and give up those that the database holds for this master."""
        executor, database = self._executor, self._deployment.database
        executor.withdraw(lambda key: key not in adopted)
        others = [key for key in executor.running if key not in adopted]
        for key in others:
            executor.kill(key)
        lost = held - set(adopted.values())
        # Any master may run the instances of lost attempts again at once, so their processes must have ended.
        deadline = time.monotonic() + KILL_GRACE_SECONDS + 1.0
        while lost and any(key in executor.running for key in others) and time.monotonic() < deadline:
            executor.heartbeat(1.0)
        for attempt_uuid in lost:
            transitions.release_leases(database, self._owner, attempt_uuid=attempt_uuid)
        for dag_id in self.dag_ids if lost else ():
            transitions.expire(database, dag_id=dag_id, gives_up=False)

    def _try_turn_of(self, key: _GroupKey) -> int:
        try:
            return self._turn_of(key)
        except OUTAGES:
            raise
        except Exception as error:
            # A fault of one DAG must not end the tasks of the others.
            self._set_aside(key, error)
            return 0

    def _set_aside(self, key: _GroupKey, error: Exception) -> None:
        """Stop the attempts of a group that failed, and postpone its runs."""
        reason = f"{type(error).__name__}: {masked(error_text(error))}"
        self._say(f"DAG {key[0]!r} cannot go on, and is tried again in {POSTPONED_SECONDS:g} s ({reason})")
        found = self._groups.get(key)
        if found is None:
            return  # its last run had just ended
        group = found.group
        group.abandon()
        for claim in group.runs.claims.values():
            transitions.postpone_run(self._deployment.database, claim, POSTPONED_SECONDS)
        del self._groups[key]
        for run_id in group.runs.claims:
            self._group_of.pop((key[0], run_id), None)

    def _turn_of(self, key: _GroupKey) -> int:
        found = self._groups[key]
        group = found.group
        if not self._is_closed:
            group.begin_runs()
        if found.needs_previous:
            self._update_previous(found)
        started, used = group.started, group.slots_in_use()
        # Without the slots of the others, it would ask the database again and again for slots that are taken.
        group.dispatcher.used_elsewhere = self._used - used
        ready = group.turn(self._undelivered.pop(key, ()))
        self._used = group.dispatcher.used_elsewhere + group.slots_in_use()
        if group.started > started:
            # Free slots go to the other groups first. A rotation by turns would not do, because the turns in which a
            # slot is free may always be those of the same group.
            self._groups[key] = self._groups.pop(key)
        # Reserved processes take their attempts before another group reserves some.
        self._executor.heartbeat(0.0)
        group.poll(ready)
        ended = 0
        busy = {one.run_id for one in group.attempts.running}
        for run_id in group.runs.over:
            if run_id not in busy:
                ended += run_id in group.runs.ended
                self._forget(key, run_id)
        group.flush_log()
        return ended

    def _forget(self, key: _GroupKey, run_id: str) -> None:
        group = self._groups[key].group
        group.forget(run_id)
        del self._group_of[key[0], run_id]
        if not group.runs.by_id:
            group.flush_log()
            del self._groups[key]

    def _update_previous(self, found: _Group) -> None:
        """Read what the previous runs became, on which tasks depend; other masters may run them."""
        group, tasks = found.group, list(found.stored.spec.tasks.values())
        for run_id in group.runs.active:
            run = group.runs.by_id[run_id]
            states = previous_states_of(self._deployment.database, run, tasks)
            group.tracker.set_previous(run_id, states)

    def _with_version(self, claim: RunClaim) -> RunClaim:
        """Return a claim whose run names the version of the DAG that it follows."""
        run = claim.run
        if run.state is RunState.RUNNING and run.structure_digest:
            return claim
        updated = transitions.set_run_version(self._deployment.database, run)
        return RunClaim(run=updated, owner=claim.owner, epoch=claim.epoch)

    def _stored(self, digest: str, folder: Path) -> StoredDag:
        if not digest:
            raise ElasticError("its DAG is not stored; put its file into the DAG folder.")
        stored = self._dags.get(digest)
        # The root is a folder from which tasks import modules; the database must not choose it.
        stored = replace(stored, spec=replace(stored.spec, root=str(folder)))
        if not Path(stored.spec.fileloc).is_relative_to(folder) or ".." in Path(stored.spec.fileloc).parts:
            raise ElasticError(f"its file {stored.spec.fileloc} is outside of the DAG folder {folder}; move it there.")
        return stored

    def _new_group(self, key: _GroupKey, folder: Path) -> _Group:
        stored = self._stored(key[1], folder)
        runs: dict[str, DagRun] = {}
        callbacks = DueCallbacks(self._deployment, stored.spec, runs, self._callbacks)
        setup = GroupSetup(
            dag=stored.spec,
            tracker=RunTracker((), list(stored.spec.tasks.values()), Overrides(ignore_interval=True)),
            executor=self._executor,
            callbacks=callbacks,
            owner=self._owner,
            max_active_runs=stored.max_active_runs,
        )
        group = RunGroup(self._deployment, setup, (), self._say)
        callbacks.runs = group.runs.by_id
        group.dispatcher.read_pools()
        return _Group(stored, group)
