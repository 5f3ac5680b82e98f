"""Sameness: whether a step is the one that a run began with."""

import json
import re
from typing import Any

from elastic.core.contracts.store import RunStore, StepRecord
from elastic.core.errors import SourceError, UsageError
from elastic.core.receipts.merkle import ROOT_VERSION
from elastic.engine.chunker import Chunker
from elastic.engine.fingerprint.code_fingerprint import FINGERPRINT_VERSION, python_version
from elastic.engine.fingerprint.step_code import parts_of, state_formats
from elastic.engine.step import Step

#: In descriptions, how `name_of` writes a function: its module and its line may change.
_FUNCTION = re.compile(r"(?:[\w<>]+\.)*([\w<>]+) \(line \d+\)")

#: What is told of an iterable and is not the same of a generator and of a list of what it yields.
_OF_ITERABLES = ("type", "entries")

#: Kinds of sources whose entries cost nothing to read again.
_IN_MEMORY = ("iterable", "iterables")

#: The definition of the roots of runs that do not say which.
_FIRST_KEPT_ROOT = 2

_AGGREGATE = "aggregate("


def check_aggregator_unchanged(run_id: str, record: StepRecord, step: Step) -> None:
    """Refuse a step whose aggregator is of another kind than the one that made what is kept.

    Raises:
        UsageError: It is, or its states have another form; names both.
    """
    before = [label for label, _ in record.manifest.get("code", ()) if label.startswith(_AGGREGATE)]
    now = [part.label for part in parts_of(step) if part.label.startswith(_AGGREGATE)]
    if before != now:
        raise UsageError(
            f"run {run_id} aggregates by {_inside(before)} and the flow given by {_inside(now)}; give the flow that "
            "the run began with."
        )
    kept = record.manifest.get("states", {})
    for name, number in state_formats(step.aggregator).items():
        if kept.get(name, 1) != number:
            raise UsageError(
                f"run {run_id} keeps states of {name} in form {kept.get(name, 1)} and this version merges form "
                f"{number}; go on with the version that the run began with, or start a new run."
            )


def check_source_unchanged(run_id: str, record: StepRecord, step: Step) -> None:
    """Refuse a step whose source is described in other words than that of the run.

    Raises:
        UsageError: It is; names what differs.
    """
    before, now = _description(record.manifest.get("source")), _description(step.source.describe())
    left_out = () if record.manifest.get("replayable", True) else _OF_ITERABLES
    differing = [name for name in {**before, **now} if name not in left_out and before.get(name) != now.get(name)]
    if differing:
        name = differing[0]
        raise UsageError(
            f"run {run_id} reads a source with {name}={before.get(name)!r} and that of the flow given has "
            f"{name}={now.get(name)!r}; give the flow that the run began with, or start a new run."
        )


def root_version_of(record: StepRecord) -> int:
    """Return the number of the definition of roots, and of digests of what was read, that a step began with."""
    return int(record.manifest.get("root", _FIRST_KEPT_ROOT))


def check_root_version_unchanged(run_id: str, record: StepRecord) -> None:
    """Refuse a step whose digests of what was read cannot be compared with those of today.

    Raises:
        UsageError: They cannot; names both definitions.
    """
    version = root_version_of(record)
    if version != ROOT_VERSION:
        raise UsageError(
            f"run {run_id} has digests of its input by definition {version} and this version of Elastic makes those of "
            f"definition {ROOT_VERSION}; use the version that the run began with, or start a new run."
        )


def check_entries_unchanged(store: RunStore, record: StepRecord, chunker: Chunker) -> None:
    """Refuse a sequence in memory whose entries are not those that the run has in its result.

    Args:
        store: What is kept of the run.
        record: What is kept of its step.
        chunker: Cuts the sequence from its start; it is read as far as the result goes.

    Raises:
        SourceError: They are not; names the first chunk that differs.
    """
    if record.manifest.get("source", {}).get("kind") not in _IN_MEMORY:
        return
    contents = {
        row.first + index: row.columns.content(index)
        for row in store.receipts(record.step)
        for index in range(row.count)
    }
    for _ in range(max(contents, default=-1) + 1):
        for chunk in chunker.cut(1)[0]:
            if contents.get(chunk.chunk_id, chunk.content) != chunk.content:
                raise SourceError(
                    f"the entries of chunk {chunk.chunk_id} are not those that run {store.run_id} has in its result; "
                    "give the same entries, or start a new run."
                )


def check_code_unchanged(run_id: str, record: StepRecord, step: Step) -> None:
    """Refuse a step whose functions are not those that the run began with, or went on with.

    Raises:
        UsageError: They are not; names the first that differs.
    """
    last = (record.manifest, *record.resumed)[-1]
    advice = "allow it with --allow-code-change (allow_code_change=True), or start a new run."
    if last.get("python") != python_version():
        raise UsageError(
            f"run {run_id} was begun by Python {last.get('python')} and this is {python_version()}, so its code cannot "
            f"be compared; {advice}"
        )
    before = [tuple(part) for part in last.get("code", ())]
    now = [(part.label, part.digest) for part in parts_of(step)]
    if last.get("fingerprint", 1) != FINGERPRINT_VERSION:
        raise UsageError(
            f"Elastic's own way to compare code changed (from {last.get('fingerprint', 1)} to {FINGERPRINT_VERSION}) "
            f"since run {run_id} began, so your functions cannot be compared and may well be the same; if they are, go "
            "on with --allow-code-change (allow_code_change=True)."
        )
    if before == now:
        return
    changed = [label for label, digest in now if (label, digest) not in before]
    gone = [label for label, digest in before if (label, digest) not in now]
    what = f"{changed[0]} is not what it was" if changed else f"{gone[0]} is gone" if gone else "their order is another"
    raise UsageError(f"the code of run {run_id} changed since it began: {what}; {advice}")


def _inside(labels: list[str]) -> str:
    return labels[0].removeprefix(_AGGREGATE).removesuffix(")") if labels else "nothing"


def _description(value: Any) -> dict[str, Any]:
    """Return a source's description as it comes back from a manifest, without what may change in it."""
    plain = json.loads(_FUNCTION.sub(r"\1", json.dumps(value)))
    return plain if isinstance(plain, dict) else {}
