"""Queries of pages, users, sessions and tokens: the same on each kind of database."""

import datetime as dt

import pytest
from db_samples import made_run
from sqlalchemy import insert

from elastic.core.errors import UsageError
from elastic.dag.states.state import RunState
from elastic.db.database import Database
from elastic.db.errors import RowExistsError, UnknownRowError
from elastic.db.page_queries.browse import RowFilter, broken_files, events_page, instances_page, latest_jobs, runs_page
from elastic.db.page_queries.changes import changes_after, end_of_log
from elastic.db.page_queries.dag_list import DagFilter, dag_list, dag_totals
from elastic.db.page_queries.service_state import dag_counts, service_state
from elastic.db.schema import log
from elastic.db.sql_clock import now
from elastic.db.stores.api_tokens import ApiTokenStore
from elastic.db.stores.dags import DagRow, FoundDag, set_import_errors, set_paused, store_dags
from elastic.db.stores.jobs import MASTER_JOB, start_job
from elastic.db.stores.sessions import SessionStore
from elastic.db.stores.users import Role, UserStore
from elastic.db.transitions import set_run_state

NOW = dt.datetime(2026, 11, 29, 14, 2, tzinfo=dt.UTC)


@pytest.fixture
def filled(database: Database) -> Database:
    """Each kind of database with three DAGs, the runs of one of them, and a broken file."""
    rows = [
        DagRow(dag_id="a", fileloc="/a.py", owner="ada", tags="x,y", is_paused=True),
        DagRow(dag_id="b", fileloc="/b.py", owner="Max_1", tags="xy"),
        DagRow(dag_id="etl", fileloc="/etl.py", owner="ada", schedule="@daily", structure_digest="0" * 64),
    ]
    store_dags(database, [FoundDag(row, structure="{}") for row in rows])
    for day in range(16):
        run = made_run(database, "first", "second", day=day)
        state = RunState.FAILED if day in (0, 7) else RunState.RUNNING if day == 15 else RunState.SUCCESS
        set_run_state(database, "etl", run.run_id, state)
    set_import_errors(database, {"/dags/old.py": "line 3: no module\nTraceback"})
    return database


def test_the_list_of_dags_has_their_last_runs_and_tasks(filled: Database) -> None:
    found = dag_list(filled, DagFilter())
    assert [one.dag_id for one in found.dags] == ["a", "b", "etl"]
    assert [one.is_paused for one in found.dags] == [True, False, False]
    assert list(found.runs) == ["etl"]
    assert [run.state for run in found.runs["etl"]].count("failed") == 1
    assert len(found.runs["etl"]) == 14
    assert found.tasks == {"etl": {"none": 2}}
    assert [one.dag_id for one in dag_list(filled, DagFilter(), after="a", limit=1).dags] == ["b"]
    totals = dag_totals(filled)
    assert (totals.all, totals.failed, totals.running, totals.paused, totals.gone) == (3, 1, 1, 1, 0)


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (DagFilter(text="MAX_"), ["b"]),
        (DagFilter(text="%"), []),
        (DagFilter(tag="x"), ["a"]),
        (DagFilter(owner="ada", paused=False), ["etl"]),
        (DagFilter(state="failed"), ["etl"]),
        (DagFilter(state="running", paused=False), ["etl"]),
        (DagFilter(paused=True), ["a"]),
        (DagFilter(gone=True), []),
        (DagFilter(dag_id="b"), ["b"]),
    ],
)
def test_dags_are_selected(filled: Database, wanted: DagFilter, ids: list[str]) -> None:
    assert [one.dag_id for one in dag_list(filled, wanted).dags] == ids


def test_tables_are_paged_by_keys(filled: Database) -> None:
    first = runs_page(filled, RowFilter(dag_id="etl"), limit=10)
    after = (first[-1].logical_date, first[-1].dag_id)
    assert len({run.run_id for run in first + runs_page(filled, RowFilter(dag_id="etl"), after=after)}) == 16
    rows = instances_page(filled, RowFilter(state="none"), limit=20)
    last = rows[-1]
    rest = instances_page(filled, RowFilter(), after=(last.dag_id, last.run_id, last.task_id, last.map_index))
    assert [len(rows), len(rest)] == [20, 12]
    events = events_page(filled, RowFilter(dag_id="etl"), limit=5)
    assert all(number < events[-1][0] for number, _ in events_page(filled, RowFilter(), before=events[-1][0]))
    assert events_page(filled, RowFilter(by_users=True)) == []


def test_the_state_of_the_service_and_its_changes_are_read(filled: Database) -> None:
    before = service_state(filled, 5.0)
    assert (before.has_living_master, before.last_master_at) == (False, None)
    assert (before.broken_files, before.broken_path, before.broken_reason) == (1, "/dags/old.py", "line 3: no module")
    assert dag_counts(filled) == (3, 1)
    at = end_of_log(filled)
    start_job(filled, MASTER_JOB)
    assert service_state(filled, 5.0).has_living_master
    assert [one.is_alive for one in latest_jobs(filled, 5.0)] == [True]
    assert [one.path for one in broken_files(filled)] == ["/dags/old.py"]
    set_paused(filled, "b", paused=True)
    found = changes_after(filled, at)
    assert (found.dag_ids, found.others) == (frozenset({"b"}), True)
    assert changes_after(filled, found.position).dag_ids == frozenset()


def test_a_change_that_commits_after_later_ones_is_reported_once(database: Database) -> None:
    def commit(number: int, dag_id: str) -> None:
        row = {"id": number, "event": "paused", "dag_id": dag_id}
        with database.begin() as connection:
            connection.execute(insert(log).values(at=now()), row)

    commit(10, "before")
    at = end_of_log(database)
    for number, dag_id in ((13, "last"), (12, "late"), (9, "latest")):
        commit(number, dag_id)
        found = changes_after(database, at)
        at = found.position
        assert (found.dag_ids, found.others, found.is_cut) == ({dag_id}, False, False)
    assert changes_after(database, at).dag_ids == frozenset()


def test_changes_are_cut_when_there_are_too_many_to_name(database: Database) -> None:
    at = end_of_log(database)
    rows = [{"event": "paused", "dag_id": f"d{number}"} for number in range(2600)]
    with database.begin() as connection:
        connection.execute(insert(log).values(at=now()), rows)
    found = changes_after(database, at)
    assert found.is_cut
    assert not changes_after(database, found.position).dag_ids


def test_users_keep_one_admin_and_their_changes_end_sessions(database: Database) -> None:
    store = UserStore(database)
    assert store.is_empty()
    store.create("ada", Role.ADMIN, "hash")
    with pytest.raises(RowExistsError):
        store.create("ada", Role.VIEWER, "hash")
    store.create("Ada", Role.VIEWER, "hash")
    sessions = SessionStore(database, idle=dt.timedelta(hours=8), absolute=dt.timedelta(days=7))
    assert sessions.open("id", "Ada", "here", NOW, password_hash="hash")
    found = sessions.find("id", NOW)
    assert found is not None
    assert (found.username, found.role) == ("Ada", Role.VIEWER)
    assert sessions.find("id", NOW + dt.timedelta(hours=9)) is None
    store.change("Ada", role=Role.OPERATOR)
    assert sessions.find("id", NOW) is None
    for change in (lambda: store.change("ada", role=Role.VIEWER), lambda: store.change("ada", is_active=False)):
        with pytest.raises(UsageError, match="last active admin"):
            change()
    store.change("Ada", role=Role.ADMIN)
    store.delete("ada")
    with pytest.raises(UnknownRowError):
        store.get("ada")


def test_a_change_of_a_user_is_stored_as_a_whole_or_not_at_all(database: Database) -> None:
    store = UserStore(database)
    store.create("ada", Role.ADMIN, "hash")
    sessions = SessionStore(database, idle=dt.timedelta(hours=8), absolute=dt.timedelta(days=7))
    assert sessions.open("id", "ada", "here", NOW, password_hash="hash")
    with pytest.raises(UsageError, match="last active admin"):
        store.change("ada", role=Role.VIEWER, password_hash="other", is_active=True)
    store.change("ada", role=Role.ADMIN, is_active=True)
    assert store.get("ada").password_hash == "hash"
    assert sessions.find("id", NOW) is not None, "nothing was changed"
    store.create("eve", Role.ADMIN, "hash")
    store.change("ada", role=Role.VIEWER, password_hash="other", is_active=False)
    found = store.get("ada")
    assert (found.role, found.password_hash, found.is_active) == (Role.VIEWER, "other", False)
    assert sessions.find("id", NOW) is None
    events = [(one.event, one.detail) for _, one in events_page(database, RowFilter())]
    assert events == [
        ("password set", "ada"),
        ("user disabled", "ada"),
        ("role set", "ada: admin -> viewer"),
        ("user created", "eve, admin"),
        ("logged in", "ada"),
        ("user created", "ada, admin"),
    ]


def test_a_token_has_the_lower_role_and_ends(database: Database) -> None:
    UserStore(database).create("ada", Role.OPERATOR, "hash")
    store = ApiTokenStore(database)
    ends = NOW + dt.timedelta(days=1)
    number = store.add("secret", "ada", name="nightly", role=Role.ADMIN, time=NOW, expires_at=ends)
    found = store.find("secret", NOW)
    assert found is not None
    assert (found.id, found.role) == (number, Role.OPERATOR)
    assert store.find("secret", ends) is None
    assert store.find("other", NOW) is None
    store.touch(number, NOW)
    assert [one.used_at for one in store.all("ada")] == [NOW]
    with pytest.raises(UnknownRowError):
        store.revoke(number, "eve")
    store.revoke(number)
    assert store.all() == []
