"""Recomputation: reads a sample of a step's chunks from its source again, and reruns the comparable partials.

Memory holds the ids of the sampled chunks and the states of unfinished partials, but no chunks.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from math import ceil
from typing import Any

from elastic.aggregators.sharded.sharded_aggregator import can_shard
from elastic.aggregators.writing.writing_aggregator import StoredWriter, Writing
from elastic.core.encoding import content_digest, decompress, digest, pack
from elastic.core.errors import DecodingError, ElasticError, UsageError
from elastic.core.frames import is_frame, sorted_rows
from elastic.core.model.chunk import SourcePiece
from elastic.engine.step import Step
from elastic.recovery.compatibility import check_aggregator_unchanged, check_code_unchanged, check_source_unchanged
from elastic.stages.worker.pipeline import Pipeline
from elastic.verification.finding import VerifiedStep
from elastic.verification.partial_audit import MatchedPartial
from elastic.verification.shard_audit import ShardAudit
from elastic.verification.step_audit import StepAudit

#: Exceptions of user functions that a verification survives.
_USER_ERRORS = (Exception, SystemExit)


@dataclass(frozen=True, slots=True)
class _ChunkRecord:
    """Number of entries and input digest of a chunk, from its receipts."""

    entries: int
    content: bytes


@dataclass(slots=True)
class _Rerun:
    """Partial result that is being recomputed, chunk by chunk."""

    matched: MatchedPartial
    state: Any
    #: number of chunks still missing
    left: int
    #: a user function raised, so the partial is not compared
    failed: bool = False


class Recompute:
    """Recomputation of one step whose audit found no defect.

    Args:
        audit: Audit of the step.
        step: The step that the run began with.
        share: Share of the chunks to recompute, from 0 to 1.

    Raises:
        UsageError: The source can be read only once, or differs from that of the run.
    """

    def __init__(self, audit: StepAudit, step: Step, share: float) -> None:
        self._audit, self._step = audit, step
        record, run_id = audit.record, audit.store.run_id
        if not record.manifest.get("replayable", True):
            raise UsageError(f"run {run_id} had a source that can be read only once; leave out --recompute.")
        check_source_unchanged(run_id, record, step)
        check_aggregator_unchanged(run_id, record, step)
        self._findings = audit.findings
        #: number of chunks that the run cut from the source
        self._cut = record.counters.get("cut", 0)
        self._sample = _sample(self._cut, share)
        self._reader = step.reader()
        self._notes: list[str] = []
        self._reruns = self._open_reruns()
        self._rerun_chunks = 0

    def compare(self, verified: VerifiedStep) -> VerifiedStep:
        """Report the differences, and return the summary with the numbers of recomputed chunks."""
        records, pieces, cut = self._chunk_records(), self._step.source.cut(), 0
        ranges = _RangeCheck(self._step.source.describe().get("kind") == "files")
        for piece in pieces:
            known = next(records, None)
            if known is None:
                self._findings.add("the source has more chunks now than the run cut", cut)
                break
            if broken := ranges.check(piece):
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

    def _chunk_records(self) -> Iterator[_ChunkRecord]:
        for row in self._audit.rows():
            for index, entries in enumerate(row.columns.entries):
                if row.first + index < self._cut:
                    yield _ChunkRecord(entries, row.columns.content(index))

    def _compare_chunk(self, chunk_id: int, piece: SourcePiece, record: _ChunkRecord) -> None:
        try:
            entries, content = self._read(piece)
        except ElasticError as error:
            self._findings.add(f"it cannot be read from the source now ({error})", chunk_id)
            return
        if content != record.content:
            self._findings.add("the source gives other bytes for it now than the run read", chunk_id)
        elif len(entries) != record.entries:
            self._findings.add(f"it has {len(entries)} entries now and had {record.entries}", chunk_id)
        else:
            self._run(chunk_id, entries)

    def _read(self, piece: SourcePiece) -> tuple[Any, bytes]:
        """Return the entries of a piece and the digest of its input, computed as the chunker or the worker does."""
        if piece.entries is None:
            block = self._reader.read_block(piece.reference) if piece.block is None else piece.block
            return self._parse(piece, block), content_digest(block)
        project = self._step.options.project
        plain = pack(piece.entries if project is None else project(piece.entries))
        return self._reader.parse(piece.reference, plain), digest(plain)

    def _parse(self, piece: SourcePiece, block: bytes) -> Any:
        """Return the entries of a piece; bad records, which the run has left out, count as entries."""
        try:
            return self._reader.parse(piece.reference, block)
        except DecodingError:
            return self._reader.parse_each(piece.reference, block)

    # -- results

    def _open_reruns(self) -> dict[int, _Rerun]:
        """Return the partials that can be recomputed, by chunk id: all of their chunks are in the sample."""
        audit, reruns = self._audit, dict[int, _Rerun]()
        try:
            check_code_unchanged(audit.store.run_id, audit.record, self._step)
        except UsageError as error:
            self._notes.append(f"partial results were not recomputed: {error}")
            return reruns
        for matched in audit.partials():
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
            except _USER_ERRORS as error:
                rerun.failed = True
                what = f"the flow fails on it now ({type(error).__name__}: {error}) and did not when the run was made"
                self._findings.add(what, chunk_id)

    def _compare_result(self, rerun: _Rerun) -> None:
        aggregator, matched, audit = self._step.aggregator, rerun.matched, self._audit
        if audit.is_sharded and can_shard(aggregator):
            kept = ShardAudit(audit).state(aggregator, matched)
        else:
            log = (audit.store.state(audit.record.step, ordinal) for ordinal in matched.ordinals)
            frames = [decompress(state.data) for state in log]
            if audit.is_written:
                # The names of the files differ in each run; what is beside them is compared.
                writing = Writing(StoredWriter(), aggregator)
                frames = [aggregator.encode(writing.decode(frame).inner) for frame in frames]
            if [aggregator.encode(rerun.state)] == frames:
                return
            kept = reduce(aggregator.merge, map(aggregator.decode, frames))
        before, now = aggregator.finish(kept), aggregator.finish(rerun.state)
        if not _same(before, now):
            for first, stop in matched.named.spans:
                self._findings.add("the flow makes another partial result of it now than the run kept", first, stop)


class _RangeCheck:
    """Check that byte ranges cover each file from its first byte to its last without gaps."""

    def __init__(self, are_files: bool) -> None:
        self._are_files = are_files
        self._path: str | None = None
        self._end = 0
        self._size: int | None = None

    def check(self, piece: SourcePiece) -> str | None:
        """Return a sentence if a piece does not begin where the one before it ends, else None."""
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
    """Return the ids of at least one chunk, unpredictable for the author of a run."""
    wanted = min(count, ceil(count * share))
    return range(count) if wanted == count else set(random.SystemRandom().sample(range(count), wanted))


def _same(before: Any, now: Any) -> bool:
    """Return whether two results are equal; results without a usable `==` are compared by their `repr`."""
    if is_frame(before) and is_frame(now):
        return sorted_rows(before).equals(sorted_rows(now))
    try:
        return bool(before == now) or repr(before) == repr(now)
    except _USER_ERRORS:
        return repr(before) == repr(now)
