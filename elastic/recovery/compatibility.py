"""Compatibility: checks that a step matches the one that a run began with."""

import json
import re
from typing import Any

from elastic.core.contracts.store import RunStore, StepRecord
from elastic.core.encoding import content_digest, decompress
from elastic.core.errors import SourceError, UsageError
from elastic.core.model.chunk import UNREAD, Chunk
from elastic.core.receipts.merkle import ROOT_VERSION
from elastic.engine.chunker import Chunker
from elastic.engine.fingerprint.code_fingerprint import FINGERPRINT_VERSION, python_version
from elastic.engine.fingerprint.step_code import parts_of, state_formats
from elastic.engine.step import Step

#: A function in a description, as `name_of` writes it; its module and line may change.
_FUNCTION = re.compile(r"(?:[\w<>]+\.)*([\w<>]+) \(line \d+\)")

#: Fields of a description that differ between a generator and a list of its entries.
_ITERABLE_FIELDS = ("type", "entries")

#: Kinds of sources that are cheap to read again, because they are in memory.
_IN_MEMORY = ("iterable", "iterables", "table")

#: Version of the root definition of runs that record none.
_UNRECORDED_ROOT_VERSION = 2

_AGGREGATE = "aggregate("


def check_aggregator_unchanged(run_id: str, record: StepRecord, step: Step) -> None:
    """Check that a step's aggregator can merge the stored states.

    Raises:
        UsageError: Its kind or its state format differs; the message names both.
    """
    before = [label for label, _ in record.manifest.get("code", ()) if label.startswith(_AGGREGATE)]
    now = [part.label for part in parts_of(step) if part.label.startswith(_AGGREGATE)]
    if before != now:
        raise UsageError(
            f"run {run_id} aggregates by {_inside(before)}, but the given flow by {_inside(now)}; give the flow that "
            "the run began with."
        )
    stored = record.manifest.get("states", {})
    for name, number in state_formats(step.aggregator).items():
        if stored.get(name, 1) != number:
            raise UsageError(
                f"run {run_id} has states of {name} in format {stored.get(name, 1)}, but this version merges format "
                f"{number}; resume with the version that the run began with, or start a new run."
            )


def check_source_unchanged(run_id: str, record: StepRecord, step: Step) -> None:
    """Check that a step's source has the description of the run's source.

    Raises:
        UsageError: The descriptions differ; the message names the first differing field.
    """
    before, now = _description(record.manifest.get("source")), _description(step.source.describe())
    ignored = () if record.manifest.get("replayable", True) else _ITERABLE_FIELDS
    differing = [name for name in {**before, **now} if name not in ignored and before.get(name) != now.get(name)]
    if differing:
        name = differing[0]
        raise UsageError(
            f"run {run_id} reads a source with {name}={before.get(name)!r}, but the given flow's source has "
            f"{name}={now.get(name)!r}; give the flow that the run began with, or start a new run."
        )


def root_version_of(record: StepRecord) -> int:
    """Return the version of the definition of roots and input digests that a step began with."""
    return int(record.manifest.get("root", _UNRECORDED_ROOT_VERSION))


def check_root_version_unchanged(run_id: str, record: StepRecord) -> None:
    """Check that a step's input digests have the definition of this version.

    Raises:
        UsageError: They have another one; the message names both versions.
    """
    version = root_version_of(record)
    if version != ROOT_VERSION:
        raise UsageError(
            f"run {run_id} has input digests of definition {version}, but this version of Elastic computes definition "
            f"{ROOT_VERSION}; use the version that the run began with, or start a new run."
        )


def check_entries_unchanged(store: RunStore, record: StepRecord, chunker: Chunker) -> None:
    """Check that the sequences in memory of a source have the entries that are in the run's result.

    Args:
        store: Store of the run.
        record: Record of the step.
        chunker: Cuts the source from its start, as far as the result goes.

    Raises:
        SourceError: Entries differ; the message names the first differing chunk.
    """
    joined = _joined(record.manifest.get("source", {}))
    last = max((number for number, source in enumerate(joined) if _is_in_memory(source)), default=None)
    if last is None:
        return
    contents = {
        row.first + index: row.columns.content(index)
        for row in store.receipts(record.step)
        for index in range(row.count)
    }
    for _ in range(max(contents, default=-1) + 1):
        for chunk in chunker.cut(1)[0]:
            if len(joined) > 1 and chunk.position[0] > last:
                return
            content = _content_of(chunk)
            # Files check themselves; they may be joined with a sequence.
            if content != UNREAD and contents.get(chunk.chunk_id, content) != content:
                raise SourceError(
                    f"the entries of chunk {chunk.chunk_id} differ from those in the result of run {store.run_id}; "
                    "give the same entries, or start a new run."
                )


def _content_of(chunk: Chunk) -> bytes:
    """Return the digest of a chunk that travels by value, as the worker that read it computes it."""
    if chunk.content != UNREAD or chunk.payload is None:
        return chunk.content
    return content_digest(decompress(chunk.payload))


def _joined(described: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the descriptions of the sources of a concatenation, or of a part of one; else the description alone."""
    while isinstance(described.get("source"), dict):
        described = described["source"]
    return described["sources"] if described.get("kind") == "concatenation" else [described]


def _is_in_memory(described: dict[str, Any]) -> bool:
    """Return whether a source, or one of those that it joins or passes on a part of, is in memory."""
    if described.get("kind") in _IN_MEMORY:
        return True
    joined = _joined(described)
    return joined != [described] and any(map(_is_in_memory, joined))


def check_code_unchanged(run_id: str, record: StepRecord, step: Step) -> None:
    """Check that a step has the functions with which the run began, or was last resumed.

    Raises:
        UsageError: A function differs; the message names the first one.
    """
    last = (record.manifest, *record.resumed)[-1]
    advice = "pass --allow-code-change (allow_code_change=True) to resume anyway, or start a new run."
    if last.get("python") != python_version():
        raise UsageError(
            f"run {run_id} began with Python {last.get('python')} and this is Python {python_version()}, so its code "
            f"cannot be compared; {advice}"
        )
    before = [tuple(part) for part in last.get("code", ())]
    now = [(part.label, part.digest) for part in parts_of(step)]
    if last.get("fingerprint", 1) != FINGERPRINT_VERSION:
        raise UsageError(
            f"Elastic's own fingerprint of code changed (from version {last.get('fingerprint', 1)} to "
            f"{FINGERPRINT_VERSION}) since run {run_id} began, so your functions cannot be compared. "
            "If they are unchanged, resume with --allow-code-change (allow_code_change=True)."
        )
    if before == now:
        return
    changed = [label for label, digest in now if (label, digest) not in before]
    gone = [label for label, digest in before if (label, digest) not in now]
    change = "the functions were reordered"
    if changed or gone:
        change = f"{changed[0]} changed" if changed else f"{gone[0]} was removed"
    raise UsageError(f"run {run_id} cannot resume: {change} since the run began; {advice}")


def _inside(labels: list[str]) -> str:
    return labels[0].removeprefix(_AGGREGATE).removesuffix(")") if labels else "nothing"


def _description(value: Any) -> dict[str, Any]:
    """Return a source's description as a manifest stores it, without the parts that may change."""
    plain = json.loads(_FUNCTION.sub(r"\1", json.dumps(value)))
    return plain if isinstance(plain, dict) else {}
