"""Callbacks after an attempt."""

import logging
from typing import Any

import pytest
from dag_samples import Echo

from elastic.dag.execution.build_context import build_context
from elastic.dag.execution.callbacks import run_callbacks

LOG = logging.getLogger("elastic.task.sample")


def test_callbacks_get_the_context_however_they_are_written() -> None:
    task = Echo(task_id="t")
    context = build_context(task, task.attempt_info("2016-02-22"))
    called: list[Any] = []

    class Teller:
        def tell(self, context: dict[str, Any]) -> None:
            called.append(context["ds"])

    def with_default(ctx: dict[str, Any]) -> None:
        called.append(ctx["ds"])

    callbacks = [
        lambda context: called.append(context["ds"]),
        with_default,
        lambda ds, ti: called.append(ds),
        lambda ds: called.append(ds),
        lambda **rest: called.append(rest["ds"]),
        lambda: called.append("2016-02-22"),
        Teller().tell,
    ]
    assert run_callbacks(callbacks, context, LOG) == 0
    assert called == ["2016-02-22"] * len(callbacks)


def test_a_callback_that_fails_is_logged_and_the_others_are_called(caplog: pytest.LogCaptureFixture) -> None:
    called: list[str] = []

    def broken(context: dict[str, Any]) -> None:
        raise ValueError("no mail today")

    assert run_callbacks([broken, lambda context: called.append("called")], {}, LOG) == 1
    assert called == ["called"]
    (record,) = caplog.records
    assert record.message.startswith("the callback test_a_callback")
    assert record.exc_info is not None
