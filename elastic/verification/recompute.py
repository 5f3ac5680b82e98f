"""Recomputation: reads a sample of a step's chunks from its source again, and runs again what can be compared.

What is held is the numbers of the chunks of the sample and the states of partials that are under way, no chunks.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from math import ceil
from typing import Any

from elastic.aggregators.sharded.sharded_aggregator import can_shard
from elastic.core.encoding import content_digest, decompress, digest, pack
from elastic.core.errors import ElasticError, UsageError
from elastic.core.frames import is_frame, sorted_rows
from elastic.core.model.chunk import SourcePiece
from elastic.engine.step import Step
from elastic.recovery.compatibility import check_aggregator_unchanged, check_code_unchanged, check_source_unchanged
from elastic.stages.worker.pipeline import Pipeline
from elastic.verification.finding import VerifiedStep
from elastic.verification.partial_audit import MatchedPartial
from elastic.verification.shard_audit import ShardAudit
from elastic.verification.step_audit import StepAudit

#: What user code may raise and a verification survives.
_RAISED = (Exception, SystemExit)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the receipts say of a chunk."""

    entries: int
    content: bytes


@dataclass(slots=True)
class _Rerun:
    """A partial that is computed again, chunk by chunk."""

    matched: MatchedPartial
    state: Any
    #: chunks that are still to come
    left: int
    #: user code raised; nothing is compared
    failed: bool = False


class Recompute:
    """Recomputes one step that was examined, and found to be in order.

    Args:
        examination: Of the step.
        step: The step that the run began with.
        share: Of the chunks, from 0 to 1.

    Raises:
        UsageError: The source can be read only once, or is not that of the run.
    """

    def __init__(self, examination: StepAudit, step: Step, share: float) -> None:
        self._examination, self._step = examination, step
        record, run_id = examination.record, examination.store.run_id
        if not record.manifest.get("replayable", True):
            raise UsageError(f"run {run_id} had a source that can be read only once; leave out --recompute.")
        check_source_unchanged(run_id, record, step)
        check_aggregator_unchanged(run_id, record, step)
        self._findings = examination.findings
        #: chunks that were cut from the source
        self._cut = record.counters.get("cut", 0)
        self._sample = _sample(self._cut, share)
        self._reader = step.reader()
        self._notes: list[str] = []
        self._reruns = self._open_reruns()
        self._rerun_chunks = 0

    def compare(self, verified: VerifiedStep) -> VerifiedStep:
        """Tell what differs, and return what was verified with what was recomputed."""
        kept, pieces, cut = self._kept(), self._step.source.cut(), 0
        tiles = _Tiles(self._step.source.describe().get("kind") == "files")
        for piece in pieces:
            known = next(kept, None)
            if known is None:
                self._findings.add("the source has more chunks now than the run cut", cut)
                break
            if broken := tiles.take(piece):
                self._findings.add(broken, cut)
            if cut in self._sample:
                self._compare_chunk(cut, piece, known)
            cut += 1
        if cut < self._cut:
            self._findings.add("the source ends before it now", cut, self._cut)
        return replace(
            verified,
            chunks_recomputed=len(self._sample),
            chunks_rerun=self._rerun_chunks,
            notes=(*verified.notes, *self._notes),
        )

    # -- content

    def _kept(self) -> Iterator[_Kept]:
        for row in self._examination.rows():
            for index, entries in enumerate(row.columns.entries):
                if row.first + index < self._cut:
                    yield _Kept(entries, row.columns.content(index))

    def _compare_chunk(self, chunk_id: int, piece: SourcePiece, kept: _Kept) -> None:
        try:
            entries, content = self._read(piece)
        except ElasticError as error:
            self._findings.add(f"it cannot be read from the source now ({error})", chunk_id)
            return
        if content != kept.content:
            self._findings.add("the source gives other bytes for it now than the run read", chunk_id)
        elif len(entries) != kept.entries:
            self._findings.add(f"it has {len(entries)} entries now and had {kept.entries}", chunk_id)
        else:
            self._run(chunk_id, entries)

    def _read(self, piece: SourcePiece) -> tuple[Any, bytes]:
        """Return the entries of a piece and the digest of what they were read from, as chunker and worker make it."""
        if piece.entries is None:
            block = self._reader.read_block(piece.reference) if piece.block is None else piece.block
            return self._reader.parse(piece.reference, block), content_digest(block)
        project = self._step.options.project
        plain = pack(piece.entries if project is None else project(piece.entries))
        return self._reader.parse(piece.reference, plain), digest(plain)

    # -- results

    def _open_reruns(self) -> dict[int, _Rerun]:
        """Return the partials that can be computed again, by each of their chunks: all of these are in the sample."""
        examination, reruns = self._examination, dict[int, _Rerun]()
        try:
            check_code_unchanged(examination.store.run_id, examination.record, self._step)
        except UsageError as error:
            self._notes.append(f"partial results were not computed again: {error}")
            return reruns
        for matched in examination.partials():
            named = matched.named
            chunks = [chunk_id for first, stop in named.spans for chunk_id in range(first, stop)]
            if not named.failed and all(chunk_id in self._sample for chunk_id in chunks):
                rerun = _Rerun(matched, self._step.aggregator.create(), len(chunks))
                reruns.update(dict.fromkeys(chunks, rerun))
        return reruns

    def _run(self, chunk_id: int, entries: Any) -> None:
        rerun = self._reruns.pop(chunk_id, None)
        if rerun is None:
            return
        rerun.left -= 1
        if not rerun.failed:
            try:
                run = Pipeline(self._step.transforms, (entries,))
                rerun.state = self._step.aggregator.add_many(rerun.state, iter(run))
                run.check()
                self._rerun_chunks += 1
                if not rerun.left:
                    self._compare_result(rerun)
            except _RAISED as error:
                rerun.failed = True
                what = f"the flow fails on it now ({type(error).__name__}: {error}) and did not when the run was made"
                self._findings.add(what, chunk_id)

    def _compare_result(self, rerun: _Rerun) -> None:
        aggregator, matched, examination = self._step.aggregator, rerun.matched, self._examination
        if examination.is_wide and can_shard(aggregator):
            kept = ShardAudit(examination).state(aggregator, matched)
        else:
            log = (examination.store.state(examination.record.step, ordinal) for ordinal in matched.ordinals)
            frames = [decompress(state.data) for state in log]
            if [aggregator.encode(rerun.state)] == frames:
                return
            kept = reduce(aggregator.merge, map(aggregator.decode, frames))
        before, now = aggregator.finish(kept), aggregator.finish(rerun.state)
        if not _same(before, now):
            for first, stop in matched.named.spans:
                self._findings.add("the flow makes another partial result of it now than the run kept", first, stop)


class _Tiles:
    """Whether ranges of files follow each other from the first byte to the last."""

    def __init__(self, are_files: bool) -> None:
        self._are_files = are_files
        self._path: str | None = None
        self._end = 0
        self._size: int | None = None

    def take(self, piece: SourcePiece) -> str | None:
        """Return what is wrong with where a piece begins, if anything is."""
        if not self._are_files:
            return None
        path, start, end, size, _, *coded = piece.reference
        if path != self._path:
            was_cut_short = self._size is not None and self._end != self._size
            before, self._path, expected = self._path, path, 0
            if was_cut_short:
                return f"the chunk before it does not reach the end of {before!r}"
        else:
            expected = self._end
        self._end, self._size = end, None if coded else size
        return None if start == expected else f"it begins at byte {start} of {path!r} and not at byte {expected}"


def _sample(count: int, share: float) -> range | set[int]:
    """Return the numbers of chunks that nobody can foresee; at least one."""
    wanted = min(count, ceil(count * share))
    return range(count) if wanted == count else set(random.SystemRandom().sample(range(count), wanted))


def _same(before: Any, now: Any) -> bool:
    """Tell whether results are equal; those that cannot be compared are, when they look the same."""
    if is_frame(before) and is_frame(now):
        return sorted_rows(before).equals(sorted_rows(now))
    try:
        return bool(before == now) or repr(before) == repr(now)
    except _RAISED:
        return repr(before) == repr(now)
