"""Collect: all entries in one list."""

from collections.abc import Iterable
from typing import Any

from elastic.aggregators.saved_state import is_list, read_state
from elastic.core.aggregator import Aggregator


class Collect(Aggregator[Any, list[Any], list[Any]]):
    """Lists all entries in the order of the source; they must fit into the master's memory."""

    ordered = True

    def create(self) -> list[Any]:
        return []

    def add(self, state: list[Any], entry: Any) -> list[Any]:
        state.append(entry)
        return state

    def add_many(self, state: list[Any], entries: Iterable[Any]) -> list[Any]:
        state.extend(entries)
        return state

    def merge(self, state: list[Any], other: list[Any]) -> list[Any]:
        state.extend(other)
        return state

    def finish(self, state: list[Any]) -> list[Any]:
        return state.copy()

    def decode(self, data: bytes) -> list[Any]:
        entries: list[Any] = read_state(data, self, is_list)
        return entries
