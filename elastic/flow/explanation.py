"""Explanation of a flow: what a run would read and do, and where."""

import copy
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from elastic.core.text import one_line
from elastic.engine.chunker import wrap_source_errors
from elastic.engine.cluster import cluster_of
from elastic.engine.step import Step

#: Maximum number of characters of a description.
_MAX_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowExplanation:
    """What a run of a flow would read and do, known without reading data."""

    #: plain data that describes the source
    source: dict[str, Any]
    #: who reads the entries
    reading: str
    #: numbers of chunks, of entries and of stored bytes; None if they are unknown before the end of the source
    chunks: int | None
    entries: int | None
    bytes: int | None
    #: False if the source can be read once
    replayable: bool
    transforms: tuple[str, ...]
    #: None if the flow aggregates nothing
    aggregator: str | None
    #: place to which the flow writes; None if it writes nothing
    sink: str | None
    shards: int | None
    cluster: str
    #: maximum number of workers; None for one per CPU
    workers: int | None

    def __str__(self) -> str:
        lines = list(self._lines())
        width = max(len(name) for name, _ in lines)
        return "\n".join(f"{name:<{width}}   {one_line(text)}".rstrip() for name, text in lines)

    __repr__ = __str__

    def _lines(self) -> Iterator[tuple[str, str]]:
        yield "source", _described(self.source)
        yield "", f"read by {self.reading}; {'can be read again' if self.replayable else 'can be read once'}"
        sizes = (_many(self.bytes, "byte"), _many(self.chunks, "chunk"), _many(self.entries, "entry", "entries"))
        yield "size", ", ".join(filter(None, sizes)) or "unknown before the end of the source"
        for number, transform in enumerate(self.transforms):
            yield ("transforms" if not number else ""), f"{transform}, on the workers"
        if self.sink is not None:
            yield "writes", f"{self.sink}, on the workers"
        if self.aggregator is not None:
            where = "merged by the master" if self.shards is None else f"merged in {self.shards:,} shards"
            yield "aggregator", f"{self.aggregator}, on the workers, {where}"
        workers = "one worker per CPU" if self.workers is None else f"at most {self.workers:,} workers"
        yield "cluster", "inline, in this process" if self.cluster == "inline" else f"{self.cluster}, {workers}"


def explanation_of(step: Step, aggregator: str | None) -> FlowExplanation:
    """Return the explanation of a step. Files are listed, and not read."""
    # A copy, because a file source keeps the files that it finds, and a run must find them again.
    source = copy.copy(step.source) if step.source.replayable else step.source
    with wrap_source_errors():
        return FlowExplanation(
            source=source.describe(),
            reading=source.reading(),
            chunks=source.expected_chunks(),
            entries=source.expected_entries(),
            bytes=source.expected_bytes(),
            replayable=source.replayable,
            transforms=tuple(map(str, step.transforms)),
            aggregator=aggregator,
            sink=None if step.sink is None else str(step.sink),
            shards=step.options.shards,
            cluster=cluster_of(step.options.cluster, os.environ),
            workers=step.options.workers,
        )


def _described(source: dict[str, Any]) -> str:
    kind = str(source.get("kind", "user-defined"))
    facts = {name: value for name, value in source.items() if name != "kind" and value is not None}
    shown = ", ".join(f"{name}={json.dumps(value, default=str, ensure_ascii=False)}" for name, value in facts.items())
    text = f"{kind}: {shown}" if shown else kind
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}\u2026"


def _many(count: int | None, one: str, many: str = "") -> str:
    """Return a number of things, or nothing for an unknown number."""
    if count is None:
        return ""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
