"""Entries that end or hang their process are found one by one, and all others are counted."""

import ctypes
import os
import signal
from typing import Any

import pytest

import elastic
from elastic.core.errors import StepFailedError
from elastic.core.model.failure import Failure

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("embedded_ray")]

POISON = 777


def leave(number: int) -> int:
    if number == POISON:
        os._exit(3)
    return number


def crash(number: int) -> int:
    if number == POISON:
        ctypes.string_at(0)
    return number


def kill(number: int) -> int:
    if number == POISON:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def hang(number: int) -> int:
    while number == POISON:
        pass
    return number


class Watching(elastic.Interceptor):
    def __init__(self) -> None:
        self.failures: list[Failure] = []

    def failed(self, failure: Failure) -> None:
        self.failures.append(failure)


@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        (leave, "exit code 3"),
        (crash, "ended its process"),
        (kill, "SIGKILL"),
        (hang, "longer than chunk_timeout=1 s"),
    ],
)
def test_an_entry_that_ends_or_hangs_its_process_is_kept_as_a_dead_letter(poison: Any, reason: str) -> None:
    watching = Watching()
    flow = elastic.from_range(20_000, chunk_size=200).map(poison).aggregate("sum")
    result = flow.run(cluster="local", on_error="dead-letter", chunk_timeout=1, interceptor=watching)
    assert result.value == sum(range(20_000)) - POISON
    assert (result.entries, result.errors) == (20_000, 1)
    (failure,) = watching.failures
    assert (failure.chunk_id, failure.index) == (POISON // 200, POISON % 200)
    assert reason in failure.message


def test_without_tolerance_the_step_ends_and_names_the_entry_that_ended_its_process() -> None:
    flow = elastic.from_range(20_000, chunk_size=200).map(leave).aggregate("sum")
    with pytest.raises(StepFailedError, match=r"failed on number 777 .*it ended its process with exit code 3"):
        flow.run(cluster="local")
