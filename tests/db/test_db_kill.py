"""Processes killed in the middle of a write, on every database."""

import subprocess
import sys
from pathlib import Path

import endless
import pytest
from db_samples import claimed, finished, key_of, queued
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from elastic.dag.states.state import TaskState
from elastic.db import queries, transitions
from elastic.db.database import Database
from elastic.db.schema import dag_run

#: Instances whose current attempt is missing, or is in another state.
TORN = """
SELECT count(*) FROM task_instance i LEFT JOIN task_attempt a ON a.attempt_uuid = i.attempt_uuid
WHERE i.attempt_uuid IS NOT NULL AND (a.state IS NULL OR a.state <> i.state OR a.try_number <> i.try_number)
"""
#: Attempts that were queued, running or finished more often than the log says.
UNTOLD = """
SELECT count(*) FROM task_attempt a
WHERE (SELECT count(*) FROM log l WHERE l.attempt_uuid = a.attempt_uuid AND l.event <> 'expired')
   <> CASE a.state WHEN 'queued' THEN 1 WHEN 'running' THEN 2 ELSE 3 END
"""


def test_what_a_killed_process_wrote_is_whole_and_what_it_ran_runs_again_once(
    database: Database, metadata_url: str
) -> None:
    begun = []
    for lines in (5, 12, 30):
        command = [sys.executable, endless.__file__, metadata_url, str(1000 * lines)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent) as runner:
            assert runner.stdout is not None
            begun += [runner.stdout.readline().strip() for _ in range(lines)]
            runner.kill()
            begun += runner.stdout.read().split()
        for what in (TORN, UNTOLD):
            assert database.query(lambda connection, sql=what: connection.execute(text(sql)).scalar_one()) == 0
    if database.path is not None:
        with database.read() as connection:
            assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
    known = [uuid for uuid in begun if queries.attempt(database, uuid) is not None]
    assert len(known) >= len(begun) - 3  # the last one of each process may not have been queued
    transitions.expire(database)
    assert queries.active_instances(database) == []
    for run in queries.runs(database, "etl"):
        key = key_of(run, "load")
        row = queries.instance(database, key)
        if row is None or row.state is TaskState.SUCCESS:
            continue
        again = f"again-{run.run_id}"
        if row.state is TaskState.FAILED:  # killed while it ran, and that was its only try
            transitions.clear(database, [key])
        assert queued(database, key, again)
        assert claimed(database, key, again)
        assert finished(database, again)
        assert [one.state for one in queries.attempts(database, key)].count(TaskState.SUCCESS) == 1


def test_the_tables_refuse_two_runs_of_one_date(database: Database) -> None:
    from db_samples import new_run

    run = transitions.ensure_run(database, new_run())
    with database.read() as connection:
        row = dict(connection.execute(dag_run.select()).one()._mapping)
    with pytest.raises(IntegrityError), database.engine.begin() as connection:
        connection.execute(dag_run.insert(), {**row, "run_id": "another"})
    assert queries.runs(database) == [run]
