"""A separate process for a chunk whose entries kill processes, with and without threads of libraries."""

import os
from dataclasses import replace
from typing import Any

import polars
import pytest
from ray import cloudpickle
from stage_samples import KEY, Gather, by_value, call_of

from elastic.aggregators import Collect
from elastic.core.contracts.source import EntriesReader
from elastic.core.encoding import pack
from elastic.core.errors import StoreError, StoreFullError
from elastic.core.policies.error_policy import ErrorPolicy, OnError
from elastic.core.program import Program
from elastic.core.transform import Map, Transform
from elastic.stages.worker.entry_probe import EntryProbe
from elastic.stages.worker.failure_bisection import FailureBisection, NotToleratedError
from elastic.stages.worker.worker import Worker

BAD, WORSE = 3, 5


class Sorting:
    """Sorts with Polars, which starts its threads when the program is loaded; a fork of that process has none."""

    def __init__(self) -> None:
        self.size = 50_000

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self(1)

    def __call__(self, number: int) -> int:
        frame = polars.DataFrame({"a": range(self.size)}).lazy().group_by("a").len().collect()
        return number if frame.height == self.size else -1


def end(number: int) -> int:
    if number == BAD:
        os._exit(3)
    if number == WORSE:
        os.abort()
    return number


def run(*transforms: Transform, block: bytes | None = None) -> tuple[Any, dict[int | None, str]]:
    """Run a chunk of seven numbers in an entry probe; return the result, and the messages of dead letters by index."""
    policy = ErrorPolicy(on_error=OnError.DEAD_LETTER)
    program = Program(EntriesReader(), transforms, Collect(), policy, KEY, "run", 0)
    entries = list(range(7))
    probe = EntryProbe(cloudpickle.dumps(program))
    state, letters = probe.run(FailureBisection(program, 0, (0, 7)), entries, pack(entries) if block is None else block)
    found = {letter.failure.index: letter.failure.message for letter in letters}
    return program.aggregator.finish(program.aggregator.decode(state)), found


@pytest.mark.parametrize("first", [Map(abs), Map(Sorting())], ids=["no threads", "threads of a library"])
def test_entries_that_end_a_process_are_found_and_the_rest_is_folded(first: Transform) -> None:
    folded, letters = run(first, Map(end))
    assert folded == [0, 1, 2, 4, 6]
    assert {index: message.split(" by ")[-1].split(" with ")[-1] for index, message in letters.items()} == {
        BAD: "exit code 3",
        WORSE: "SIGABRT",
    }


def test_a_chunk_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(NotToleratedError):
        run(Map(abs), block=b"\xc1")


@pytest.mark.parametrize(
    ("error", "spilled", "message"),
    [
        (StoreError("no space left on the disk."), True, "no space left on the disk."),
        (StoreFullError(28, "no space left on the disk."), True, "no space left on the disk."),
        (ValueError("no bytes"), False, "no bytes"),
    ],
    ids=["disk", "full", "aggregator"],
)
def test_a_state_that_cannot_be_stored_is_reported_as_by_a_worker(
    error: Exception, spilled: bool, message: str
) -> None:
    policy = ErrorPolicy(on_error=OnError.DEAD_LETTER)
    program = Program(EntriesReader(), (), Gather(encode=error), policy, KEY, "run", 0)
    subject = Worker(program, node_id="node", worker_id="node/0", probe=EntryProbe(cloudpickle.dumps(program)))
    reply = subject.work(replace(call_of(by_value(3, [1, 2])), isolated=True))
    assert reply.failure is not None
    assert (reply.spill_failed, reply.failure.chunk_id) == (spilled, 3)
    assert message in reply.failure.message
    assert subject.collect().partial is None
