"""Run groups of a master: the runs in hand, by DAG and version, which share one executor."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from elastic.config.secret_mask import masked
from elastic.core.errors import ElasticError
from elastic.core.text import error_text
from elastic.dag.states.state import RunState
from elastic.db import transitions
from elastic.db.records import DagRun
from elastic.db.transitions import RunClaim
from elastic.executors.executor import Executor, ExecutorEvent
from elastic.scheduler.commands.planning import make_instances, previous_states_of
from elastic.scheduler.decisions.inputs import Overrides
from elastic.scheduler.decisions.run_states import RunSpec
from elastic.scheduler.decisions.run_tracker import RunTracker
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.supervisor.due_callbacks import CallbackQueue, DueCallbacks
from elastic.scheduler.supervisor.run_group import GroupSetup, RunGroup
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


class RunGroups:
    """Runs in hand. Each turn drives all groups, beginning with another one each time.

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
        self._is_closed = False
        self._turns = 0

    @property
    def is_empty(self) -> bool:
        """Whether no run is in hand."""
        return not self._group_of

    @property
    def dag_ids(self) -> list[str]:
        """The DAGs with runs in hand."""
        return sorted({dag_id for dag_id, _ in self._group_of})

    @property
    def has_attempts(self) -> bool:
        """Whether an attempt runs whose result is not recorded yet."""
        return any(found.group.attempts.running for found in self._groups.values())

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
        by_group: dict[_GroupKey, list[ExecutorEvent]] = {}
        for run, found in events.items():
            if run in self._group_of:
                by_group.setdefault(self._group_of[run], []).extend(found)
        keys = list(self._groups)
        first = self._turns % len(keys) if keys else 0
        self._turns += 1
        return sum(self._try_turn_of(key, by_group.get(key, ())) for key in (*keys[first:], *keys[:first]))

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

    def seconds_until_work(self) -> float:
        """Return the seconds until a group has work that no event announces; infinite if there is no group."""
        return min((found.group.seconds_until_work() for found in self._groups.values()), default=float("inf"))

    def close(self) -> None:
        """Start no further attempt; those that run go on."""
        self._is_closed = True
        for found in self._groups.values():
            found.group.dispatcher.is_closed = True

    def clear(self) -> list[str]:
        """Forget all runs, and return the ids of their DAGs."""
        dag_ids = self.dag_ids
        self._groups.clear()
        self._group_of.clear()
        return dag_ids

    def _try_turn_of(self, key: _GroupKey, events: Sequence[ExecutorEvent]) -> int:
        try:
            return self._turn_of(key, events)
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
        found = self._groups.pop(key, None)
        if found is None:
            return  # its last run had just ended
        group = found.group
        group.abandon()
        for run_id, claim in group.runs.claims.items():
            transitions.postpone_run(self._deployment.database, claim, POSTPONED_SECONDS)
            self._group_of.pop((key[0], run_id), None)

    def _turn_of(self, key: _GroupKey, events: Sequence[ExecutorEvent]) -> int:
        found = self._groups[key]
        group = found.group
        if not self._is_closed:
            group.begin_runs()
        if found.needs_previous:
            self._update_previous(found)
        ready = group.turn(events)
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

    def _new_group(self, key: _GroupKey, folder: Path) -> _Group:
        digest = key[1]
        if not digest:
            raise ElasticError("its DAG is not stored; put its file into the DAG folder.")
        stored = self._dags.get(digest)
        # The root is a folder from which tasks import modules; the database must not choose it.
        stored = replace(stored, spec=replace(stored.spec, root=str(folder)))
        if not Path(stored.spec.fileloc).is_relative_to(folder) or ".." in Path(stored.spec.fileloc).parts:
            raise ElasticError(f"its file {stored.spec.fileloc} is outside of the DAG folder {folder}; move it there.")
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
