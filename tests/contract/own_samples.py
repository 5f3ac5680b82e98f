"""Aggregators as a user writes them: a class, a key and functions."""

from typing import Any

from elastic.core.contracts.aggregator import Aggregator


class Longest(Aggregator[str, dict[str, Any], str]):
    """A user's aggregator: the longest word, and of several the first in alphabetical order."""

    def create(self) -> dict[str, Any]:
        return {"word": ""}

    def add(self, state: dict[str, Any], entry: str) -> dict[str, Any]:
        return self.merge(state, {"word": entry})

    def merge(self, state: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
        return min(state, other, key=lambda one: (-len(one["word"]), one["word"]))

    def finish(self, state: dict[str, Any]) -> str:
        return str(state["word"])


def at_of(row: dict[str, Any]) -> int:
    return int(row["at"])


def joined(new: str, previous: str | None) -> str:
    return new if previous is None else f"{previous} {new}"


def list_of(new: str, previous: list[str] | None) -> list[str]:
    if previous is None:
        return [new]
    previous.append(new)
    return previous
