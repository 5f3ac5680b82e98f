"""Triggerers as processes: killed at any moment they lose no wait, and another one goes on with the same deadlines."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from elastic.db.stores.waits import wait_of
from elastic.scheduler.deployment import Deployment
from elastic.sensors import FileSensor
from elastic.service.health import health_of
from tests.command_process import ended, started, until
from tests.sensors.conftest import metadata as metadata
from tests.sensors.sensor_samples import Waiter, dag_of


def triggerer(environment: pytest.MonkeyPatch) -> "subprocess.Popen[str]":
    environment.setenv("ELASTIC__SCHEDULER__LEASE", "3")
    environment.setenv("ELASTIC__SCHEDULER__HEARTBEAT", "1")
    return started("triggerer")


def test_a_killed_triggerer_loses_no_wait_and_moves_no_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dag_of():
        waiter = Waiter.of(FileSensor(task_id="wait", path=str(tmp_path / "x"), poke_interval=0.1))
    waiter.slice()
    database, uuid = Deployment.of().database, waiter.row.attempt_uuid or ""
    before, _ = wait_of(database, uuid)
    assert before is not None

    def checks() -> int:
        found, _ = wait_of(database, uuid)
        return found.progress.checks if found else 0

    first = triggerer(monkeypatch)
    until(lambda: checks() > 2, first)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    reached = checks()
    second = triggerer(monkeypatch)
    until(lambda: checks() > reached, second)
    after, _ = wait_of(database, uuid)
    assert after is not None
    assert (after.started_at, after.deadline) == (before.started_at, before.deadline)
    parts = {one.part: one for one in health_of(database, 5.0)}
    assert parts["triggerer"].is_healthy
    assert "1 task is deferred" in parts["triggerer"].detail
    (tmp_path / "x").touch()
    until(lambda: waiter.state == "success", second)
    second.send_signal(signal.SIGTERM)
    assert "stopping" in ended(second)
    assert second.returncode == 0
    assert "no task is deferred" in {one.part: one.detail for one in health_of(database, 5.0)}["triggerer"]


def test_health_names_a_missing_triggerer_once_a_task_is_deferred(tmp_path: Path) -> None:
    database = Deployment.of().database
    assert {one.part: one.is_healthy for one in health_of(database, 5.0)}["triggerer"]
    with dag_of():
        waiter = Waiter.of(FileSensor(task_id="wait", path=str(tmp_path / "x")))
    waiter.slice()
    [part] = [one for one in health_of(database, 5.0) if one.part == "triggerer"]
    assert not part.is_healthy
    assert part.detail == (
        "no triggerer has given a sign of life yet; start one with `elastic triggerer`; 1 task is deferred"
    )
