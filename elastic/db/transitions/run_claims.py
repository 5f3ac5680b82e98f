"""Claims of runs by masters of the scheduler service: which master decides about a run, under a lease.

Each take-over increments the epoch of the claim. A master that lost its lease can no longer end the run, because it
must name the owner and the epoch.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select, update

from elastic.dag.states.state import RunState
from elastic.db.database import Database
from elastic.db.records import DagRun, run_of
from elastic.db.schema import dag, dag_cursor, dag_run, run_claim
from elastic.db.sql_clock import now
from elastic.db.transitions.runs import change_state, note_end

_claim, _run = run_claim.c, dag_run.c

#: Claims that are read for each claim that is wanted, because some of them may not start yet.
_READ_AHEAD = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RunClaim:
    """Claim of a run by a master."""

    run: DagRun
    owner: str
    #: number of the take-over; part of every change that only the owner may make
    epoch: int


def take_runs(
    database: Database, owner: str, lease: float, *, limit: int = 50, dag_ids: Sequence[str] = ()
) -> list[RunClaim]:
    """Take runs without a master, or whose master did not renew its lease, in one transaction.

    A queued run is left alone while its DAG is paused or has as many active runs as it may have.

    Args:
        database: The database.
        owner: The master.
        lease: Seconds until another master may take the runs.
        limit: Maximum number of runs.
        dag_ids: Only runs of these DAGs; empty for all.
    """

    def work(connection: Connection, _: bool) -> list[RunClaim]:
        free = _free_runs(connection)
        full = [dag_id for dag_id, count in free.items() if count <= 0]
        query = select(_claim.dag_id, _claim.run_id, _claim.epoch, _claim.owner).where(_may_take(full))
        if dag_ids:
            query = query.where(_claim.dag_id.in_(dag_ids))
        # By key, so that two masters lock the rows in one order.
        query = query.order_by(_claim.dag_id, _claim.run_id).limit(limit * _READ_AHEAD)
        rows = connection.execute(query.with_for_update(skip_locked=True)).all()
        return _take(connection, rows, _Taker(owner, lease, limit), free)

    return database.write(lambda connection, again: work(connection, again))


def renew_claims(database: Database, owner: str, lease: float) -> frozenset[tuple[str, str]]:
    """Renew all claims of a master; return the keys (DAG and run) of those that it still holds."""

    def work(connection: Connection, _: bool) -> frozenset[tuple[str, str]]:
        connection.execute(update(run_claim).where(_claim.owner == owner).values(lease_expires_at=now(lease)))
        held = select(_claim.dag_id, _claim.run_id).where(_claim.owner == owner)
        return frozenset((row.dag_id, row.run_id) for row in connection.execute(held))

    return database.write(work)


def release_claims(database: Database, owner: str, *, runs: Collection[tuple[str, str]] | None = None) -> int:
    """Give up claims of a master, so that others may take them at once; return their number.

    Args:
        database: The database.
        owner: The master.
        runs: Only those of these runs (DAG and run id); None for all.
    """
    change = update(run_claim).where(_claim.owner == owner).values(owner=None, lease_expires_at=None)
    changes = [change] if runs is None else [change.where(_key(*run)) for run in sorted(runs)]
    return database.write(lambda connection, _: sum(connection.execute(one).rowcount for one in changes))


def claim_owners(database: Database) -> list[str]:
    """Return the masters that hold claims."""
    query = select(_claim.owner).where(_claim.owner.is_not(None)).distinct()
    return [str(owner) for owner in database.query(lambda connection: connection.execute(query).scalars().all())]


def postpone_run(database: Database, claim: RunClaim, seconds: float) -> None:
    """Give up a claim, so that a master takes the run again after some seconds."""
    held = and_(_key(claim.run.dag_id, claim.run.run_id), _claim.owner == claim.owner, _claim.epoch == claim.epoch)
    change = update(run_claim).where(held).values(owner=None, lease_expires_at=now(seconds))
    database.write(lambda connection, _: connection.execute(change))


def set_run_version(database: Database, run: DagRun) -> DagRun:
    """Let a run follow the present version of its DAG, if the DAG is stored; return the run."""
    query = select(dag.c.structure_digest, dag.c.source_digest).where(
        dag.c.dag_id == run.dag_id, dag.c.structure_digest.is_not(None)
    )
    same = and_(_run.dag_id == run.dag_id, _run.run_id == run.run_id)

    def work(connection: Connection, _: bool) -> DagRun:
        found = connection.execute(query).one_or_none()
        if found is None or found.structure_digest == run.structure_digest:
            return run
        digests = {"structure_digest": found.structure_digest, "source_digest": found.source_digest}
        connection.execute(update(dag_run).where(same).values(**digests))
        return replace(run, **digests)

    return database.write(work)


def end_claimed_run(database: Database, claim: RunClaim, state: RunState, *, calls_back: bool = False) -> bool:
    """End a run and delete its claim; return False, without a change, if another master took it over.

    Args:
        database: The database.
        claim: The claim.
        state: The final state.
        calls_back: Store that the callbacks of the run are due.
    """

    def work(connection: Connection, again: bool) -> bool:
        dag_id, run_id = claim.run.dag_id, claim.run.run_id
        held = and_(_key(dag_id, run_id), _claim.owner == claim.owner, _claim.epoch == claim.epoch)
        # The run is changed first, because all code locks runs before their claims.
        done = change_state(connection, dag_id, run_id, state, (RunState.QUEUED, RunState.RUNNING), keep_claim=True)
        if not connection.execute(delete(run_claim).where(held)).rowcount and done:
            raise _LostClaimError
        if done:
            note_end(connection, dag_id, run_id, state, calls_back=calls_back)
        if not done and again:
            found = select(_run.state).where(_run.dag_id == dag_id, _run.run_id == run_id)
            return connection.execute(found).scalar() == state
        return done

    try:
        return database.write(work)
    except _LostClaimError:
        return False


class _LostClaimError(Exception):
    """Another master took the run over; the transaction is rolled back."""


def _key(dag_id: str, run_id: str) -> ColumnElement[bool]:
    return and_(_claim.dag_id == dag_id, _claim.run_id == run_id)


def _free_runs(connection: Connection) -> dict[str, int]:
    """Return how many more runs of each DAG with active runs may start; it may be less than 0."""
    active = (
        select(_run.dag_id, func.count().label("count")).where(_run.state == RunState.RUNNING).group_by(_run.dag_id)
    ).subquery()
    query = select(active.c.dag_id, dag_cursor.c.max_active_runs, active.c["count"]).join(
        dag_cursor, dag_cursor.c.dag_id == active.c.dag_id
    )
    return {row.dag_id: row.max_active_runs - row[2] for row in connection.execute(query)}


def _may_take(full: Sequence[str]) -> ColumnElement[bool]:
    run = select(_run.state).where(_run.dag_id == _claim.dag_id, _run.run_id == _claim.run_id)
    paused = select(dag_cursor.c.dag_id).where(dag_cursor.c.dag_id == _claim.dag_id, dag_cursor.c.is_paused.is_(True))
    queued = run.where(_run.state == RunState.QUEUED).correlate(run_claim).exists()
    running = run.where(_run.state == RunState.RUNNING).correlate(run_claim).exists()
    may_start = and_(queued, ~paused.correlate(run_claim).exists())
    if full:
        may_start = and_(may_start, _claim.dag_id.not_in(full))
    is_free = or_(_claim.lease_expires_at.is_(None), _claim.lease_expires_at < now())
    return and_(is_free, or_(running, may_start))


@dataclass(frozen=True, slots=True)
class _Taker:
    """Master that takes runs."""

    owner: str
    lease: float
    limit: int


def _take(connection: Connection, rows: Sequence[Any], taker: _Taker, free: dict[str, int]) -> list[RunClaim]:
    found: list[RunClaim] = []
    limits = dict[str, int]()
    for row in rows:
        if len(found) == taker.limit:
            break
        key = and_(_run.dag_id == row.dag_id, _run.run_id == row.run_id)
        stored = connection.execute(select(dag_run).where(key)).one_or_none()
        if stored is None:
            continue
        run = run_of(stored)
        if run.state is RunState.QUEUED:
            left = limits.setdefault(row.dag_id, free[row.dag_id] if row.dag_id in free else _limit(connection, run))
            if left <= 0:
                continue
            limits[row.dag_id] = left - 1
        change = update(run_claim).where(_key(row.dag_id, row.run_id), _claim.epoch == row.epoch)
        values = {"owner": taker.owner, "epoch": row.epoch + 1, "lease_expires_at": now(taker.lease)}
        if connection.execute(change.values(**values)).rowcount:
            found.append(RunClaim(run=run, owner=taker.owner, epoch=row.epoch + 1))
    return found


def _limit(connection: Connection, run: DagRun) -> int:
    query = select(dag_cursor.c.max_active_runs).where(dag_cursor.c.dag_id == run.dag_id)
    found = connection.execute(query).scalar()
    return 1 if found is None else int(found)
