"""Callbacks of tasks and runs: arguments, process, and number of calls."""

import functools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from run_samples import attempts, dag_of, noop

from elastic.dag import DAG
from elastic.dag.errors import DefinitionError
from elastic.db import transitions
from elastic.db.database import Database
from elastic.db.errors import DatabaseUnavailableError
from elastic.operators import PythonOperator
from elastic.scheduler.commands.backfill import Summary
from elastic.scheduler.deployment import Deployment


def fail() -> None:
    raise ValueError("no such luck")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run(dag: DAG, **options: Any) -> Summary:
    found: Summary = dag.run(start_date="2016-02-22", end_date="2016-02-22", **options)
    return found


def log_of(task_id: str) -> str:
    return (Deployment.of().logs / f"etl/{task_id}/2016-02-22T00:00:00").read_text()


class Told:
    """Records the arguments of callbacks, by the name of the callback."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []

    def note(self, name: str, context: Any) -> None:
        self.seen.append((name, context.get("state", context)))

    def callbacks(self) -> list[Callable[..., Any]]:
        """Return callbacks with different signatures."""

        def only_default(ctx: Any = None) -> None:
            self.note("only default", ctx)

        def two(ctx: Any, channel: str = "#alerts") -> None:
            self.note(f"two {channel}", ctx)

        def between(ds: str, ctx: Any, *, run_id: str) -> None:
            self.note(f"between {ds} {run_id}", ctx)

        def by_name(state: str, **others: Any) -> None:
            self.note("by name", {"state": state, **others})

        return [
            lambda ctx: self.note("lambda", ctx),
            lambda anything, /: self.note("by position", anything),
            lambda *given: self.note("all", given[0]),
            lambda context: self.note("context", context),
            functools.partial(self.note, "partial"),
            only_default,
            two,
            between,
            by_name,
        ]

    def names(self, run_id: str) -> list[tuple[str, str]]:
        names = ["lambda", "by position", "all", "context", "partial", "only default", "two #alerts"]
        return [(name, "failed") for name in [*names, f"between 2016-02-22 {run_id}", "by name"]]


@pytest.mark.parametrize("owner", ["task", "run"])
def test_callbacks_get_the_context_whatever_their_parameter_is_called(owner: str) -> None:
    told = Told()
    calls = {"on_failure_callback": told.callbacks()}
    dag = dag_of(**calls if owner == "run" else {})
    PythonOperator(task_id="bad", python_callable=fail, dag=dag, **calls if owner == "task" else {})
    run(dag, executor="inline")
    assert told.seen == told.names("backfill_20160222T000000")


@pytest.mark.parametrize("owner", ["task", "run"])
def test_a_callback_that_fails_is_reported_and_changes_nothing(
    owner: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    told = Told()

    def leave(ctx: Any) -> None:
        raise SystemExit(3)

    def ask(nowhere: str, nothing: str) -> None:
        """Read a name that no context has."""

    calls = {"on_success_callback": [lambda ctx: ctx["nothing"], leave, ask, lambda ctx: told.note("last", ctx)]}
    dag = dag_of(**calls if owner == "run" else {})
    PythonOperator(task_id="good", python_callable=noop, dag=dag, **calls if owner == "task" else {})
    assert run(dag, executor="inline").succeeded
    assert told.seen == [("last", "success")]
    said = [record.getMessage() for record in caplog.records if "callback" in record.getMessage()]
    assert [line.split("<locals>.")[-1] for line in said] == ["<lambda> failed", "leave failed", "ask failed"]


def test_a_value_that_is_no_callback_is_refused_for_a_dag_as_for_a_task() -> None:
    for make in (dag_of, lambda **calls: PythonOperator(task_id="t", python_callable=noop, **calls)):
        with pytest.raises(DefinitionError, match=r"on_failure_callback must be a function of the context, .*, got 7"):
            make(on_failure_callback=7)


def test_the_callbacks_of_a_killed_process_are_called_once_by_another_one(tmp_path: Path) -> None:
    def tell(context: Any) -> None:
        sys.stdout.write(f"told of {context['state']}\n")
        with (tmp_path / "told").open("a") as file:
            file.write(f"{context['state']} {context['try_number']} {os.getpid()} {context['exception']}\n")

    dag = dag_of()
    calls: dict[str, Any] = {"on_retry_callback": tell, "on_failure_callback": tell, "on_success_callback": tell}
    PythonOperator(task_id="dies", python_callable=die, dag=dag, retries=1, retry_delay=0, **calls)
    assert run(dag, executor="local").counts == {"failed": 1}
    told = [line.split(maxsplit=3) for line in (tmp_path / "told").read_text().splitlines()]
    why = "its process was ended by signal SIGKILL"
    assert [(state, number, error) for state, number, _, error in told] == [
        ("up_for_retry", "1", why),
        ("failed", "2", why),
    ]
    assert not {int(pid) for _, _, pid, _ in told} & {os.getpid(), *(one.pid for one in attempts(dag, "dies"))}
    log = log_of("dies")
    assert [line.split(" - ")[-1] for line in log.splitlines() if "told of" in line] == [
        "told of up_for_retry",
        "told of failed",
    ]
    assert log.count("New run starting") == 1


@pytest.mark.parametrize("state", ["success", "failed"])
def test_callbacks_that_an_attempt_cannot_take_while_the_database_is_away_are_called_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    take = transitions.take_callbacks

    def take_later(database: Database, attempt_uuid: str, *, is_own: bool) -> bool:
        if is_own:
            raise DatabaseUnavailableError("the database", "no answer")
        return take(database, attempt_uuid, is_own=is_own)

    def tell(ctx: Any) -> None:
        with (tmp_path / "told").open("a") as file:
            file.write(f"{ctx['state']}\n")

    monkeypatch.setattr(transitions, "take_callbacks", take_later)
    dag = dag_of()
    calls: dict[str, Any] = {"on_success_callback": tell, "on_failure_callback": tell}
    PythonOperator(task_id="t", python_callable=noop if state == "success" else fail, dag=dag, **calls)
    assert run(dag, executor="local").counts == {state: 1}
    assert (tmp_path / "told").read_text().splitlines() == [state]


def test_a_callback_in_which_the_process_ends_is_not_called_again(tmp_path: Path) -> None:
    def tell(ctx: Any) -> None:
        with (tmp_path / "told").open("a") as file:
            file.write(f"{ctx['state']}\n")
        die()

    dag = dag_of()
    PythonOperator(task_id="bad", python_callable=fail, dag=dag, on_failure_callback=tell)
    PythonOperator(task_id="dies", python_callable=die, dag=dag, on_failure_callback=tell)
    summary = run(dag, executor="local")
    assert summary.counts == {"failed": 2}
    assert (tmp_path / "told").read_text().splitlines() == ["failed", "failed"]
