"""Transforms in every order give the results of plain loops."""

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest

from elastic.core.transform import Filter, FlatMap, KeyBy, Map, MapChunks, Task, Transform
from elastic.stages.worker.pipeline import Pipeline

CHUNKS = [[1, 2, 3, 4], [], [5], [6, 7, 8]]


def number(entry: Any) -> int:
    """Return a number for whatever an entry has become."""
    if isinstance(entry, int):
        return entry
    return sum(map(number, entry))


def as_loops(verb: str, entries: list[Any]) -> list[Any]:
    """Apply a transform to a chunk by a plain loop."""
    outputs: list[Any] = []
    if verb == "map_chunks":
        return [[entry, 1] for entry in reversed(entries)]
    if verb == "task":
        return [[*entries, 2]]
    for entry in entries:
        if verb == "map":
            outputs.append(number(entry) * 2 + 1)
        elif verb == "filter":
            if number(entry) % 3:
                outputs.append(entry)
        elif verb == "flat_map":
            for _ in range(number(entry) % 3):
                outputs.append(entry)
        elif verb == "key_by":
            outputs.append((number(entry) % 2, entry))
    return outputs


def doubled(entries: list[Any]) -> Iterator[Any]:
    return ([entry, 1] for entry in reversed(entries))


TRANSFORMS: dict[str, Transform] = {
    "map": Map(lambda entry: number(entry) * 2 + 1),
    "filter": Filter(lambda entry: number(entry) % 3),
    "flat_map": FlatMap(lambda entry: iter([entry] * (number(entry) % 3))),
    "key_by": KeyBy(lambda entry: number(entry) % 2),
    "map_chunks": MapChunks(doubled),
    "task": Task(lambda entries: [*entries, 2]),
}


@pytest.mark.parametrize("length", range(len(TRANSFORMS) + 1))
def test_every_order_of_transforms_gives_what_loops_give(length: int) -> None:
    for verbs in permutations(TRANSFORMS, length):
        expected: list[Any] = []
        for chunk in CHUNKS:
            entries: list[Any] = list(chunk)
            for verb in verbs:
                entries = as_loops(verb, entries)
            expected += entries
        run = Pipeline(tuple(TRANSFORMS[verb] for verb in verbs), CHUNKS)
        assert list(run) == expected, verbs
        assert run.finished, verbs
        run.check()


@pytest.mark.parametrize("verb", TRANSFORMS)
def test_a_transform_may_stand_twice(verb: str) -> None:
    once = [entry for chunk in CHUNKS for entry in as_loops(verb, as_loops(verb, list(chunk)))]
    assert list(Pipeline((TRANSFORMS[verb], TRANSFORMS[verb]), CHUNKS)) == once


def test_a_task_sees_an_empty_chunk_and_a_map_does_not() -> None:
    assert list(Pipeline((Task(len),), [[], [1, 2]])) == [0, 2]
    assert list(Pipeline((Map(len),), [[], []])) == []


def test_functions_that_see_a_whole_chunk_get_a_list_that_is_theirs() -> None:
    def shrink(entries: list[int]) -> list[int]:
        assert type(entries) is list
        entries.pop()
        return entries

    chunk = [1, 2, 3]
    assert list(Pipeline((MapChunks(shrink),), [chunk])) == [1, 2]
    assert chunk == [1, 2, 3]


def test_nothing_is_computed_before_it_is_asked_for() -> None:
    seen: list[int] = []

    def see(entry: int) -> int:
        seen.append(entry)
        return entry

    outputs = iter(Pipeline((Map(see), Map(see)), [[1, 2], [3]]))
    assert seen == []
    assert next(outputs) == 1
    assert seen == [1, 1]
