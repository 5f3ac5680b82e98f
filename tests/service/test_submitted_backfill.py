"""`elastic backfill --submit`: masters make the runs of a range, and the command shows how far they are."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from service_samples import check_each_date_once, dag_file, served

from tests.command_process import end_all, ended, started


@pytest.fixture(autouse=True)
def _service(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ELASTIC__SCHEDULER__LOOP_INTERVAL", "0.05")
    yield
    end_all()


def test_a_master_runs_each_date_of_a_submitted_backfill_once(home: Path) -> None:
    path = dag_file(home, days=3)
    # Without catch-up, the master itself makes the run of the last date alone.
    path.write_text(path.read_text().replace("max_active_runs=4", "max_active_runs=4, catchup=False"))
    dates = ("-s", "2016-02-22", "-e", "2016-02-24")
    assert "backfill 1 of daily waits for a master" in ended(
        started("backfill", "daily", *dates, "--submit", "--max-active-runs", "1")
    )
    printed = served()
    assert "backfill 1 of DAG 'daily' has ended: all runs succeeded" in printed
    check_each_date_once(home, "daily", 3)
    (row,) = json.loads(ended(started("backfills", "list", "-o", "json")))
    assert (row["state"], row["success"], row["active"], row["next"]) == ("success", 3, 0, "-")
    late = started("backfills", "cancel", "1")
    assert "backfill 1 of daily is success" in ended(late)
    assert late.returncode == 1
    wrong = started("backfill", "daily", *dates, "--submit", "--reverse")
    assert "a submitted backfill has no reverse; leave it out, or run it without --submit." in ended(wrong)
