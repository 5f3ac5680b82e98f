"""An interceptor that raises is reported once and left out; the step goes on."""

import logging
from typing import Any

import pytest

import elastic
from elastic.aggregators import Sum

CALLBACKS = [
    "step_started", "send", "receive", "distributed", "aggregated", "task_complete", "step_ended",
]  # fmt: skip


def raising(callback: str, error: BaseException, calls: list[str]) -> elastic.Interceptor:
    def fail(self: Any, *arguments: Any) -> None:
        calls.append(callback)
        raise error

    def step_ended(self: Any, *arguments: Any) -> None:
        calls.append("step_ended")

    kind = type("Raising", (elastic.Interceptor,), {"step_ended": step_ended, callback: fail})
    made: elastic.Interceptor = kind()
    return made


@pytest.mark.parametrize("error", [ZeroDivisionError("own fault"), SystemExit(3), StopIteration("end")], ids=repr)
@pytest.mark.parametrize("callback", CALLBACKS)
def test_it_is_reported_once_and_left_out(
    callback: str, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []
    seen: list[int] = []

    class Sound(elastic.Interceptor):
        def aggregated(self, receipt: elastic.Receipt, task_count: int) -> None:
            seen.append(task_count)

    flow = elastic.from_range(10, chunk_size=2).aggregate(Sum())
    with caplog.at_level(logging.WARNING, "elastic.interceptor"):
        result = flow.run(cluster="inline", interceptor=[raising(callback, error, calls), Sound])
    assert (result.state, result.value) == ("complete", 45)
    assert calls == [callback]
    assert seen == [1, 2, 3, 4, 5]
    sentence = f"interceptor Raising.{callback} raised {type(error).__name__}: {error}"
    assert [record.getMessage() for record in caplog.records] == [f"{sentence}; it gets no further callbacks."]
    if callback != "step_ended":
        assert result.interceptor_errors == (sentence,)


def test_one_that_raises_on_every_transport_changes_nothing(cluster: str) -> None:
    calls: list[str] = []
    flow = elastic.from_range(100, chunk_size=2).aggregate(Sum())
    result = flow.run(cluster=cluster, interceptor=raising("aggregated", ValueError("no"), calls))
    assert (result.value, calls) == (4950, ["aggregated"])


def test_dropping_an_interceptor_that_is_equal_to_all_others_drops_no_other() -> None:
    class Same(elastic.Interceptor):
        def __init__(self, *, is_sound: bool) -> None:
            self.is_sound, self.count = is_sound, 0

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

        def aggregated(self, receipt: elastic.Receipt, task_count: int) -> None:
            self.count += 1
            if not self.is_sound:
                raise ValueError("no")

    first, second = Same(is_sound=True), Same(is_sound=False)
    elastic.from_range(6, chunk_size=2).run(cluster="inline", interceptor=[first, second])
    assert (first.count, second.count) == (3, 1)


def test_ctrl_c_in_an_interceptor_ends_the_step() -> None:
    with pytest.raises(KeyboardInterrupt):
        elastic.from_range(3).run(cluster="inline", interceptor=raising("aggregated", KeyboardInterrupt(), []))
