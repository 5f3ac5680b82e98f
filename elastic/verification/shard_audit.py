"""Shard audit: checks the files of a sharded result against the log of states and the manifest."""

from collections.abc import Iterator
from typing import Any

from elastic.aggregators.sharded.shard_state import Piece
from elastic.aggregators.sharded.sharded_aggregator import Sharded, can_shard, jobs_of, partitioner_for, pieces_of
from elastic.core.contracts.aggregator import AnyAggregator
from elastic.core.contracts.spill_store import SpillSegment
from elastic.core.encoding import decompress, digest
from elastic.core.errors import CorruptStoreError, EncodingError
from elastic.core.frames import is_packed_frame
from elastic.engine.shard_manifest import ShardManifest
from elastic.engine.sharded_aggregation import folder_of
from elastic.persistence.result_files.spill_files import FileSpillStore
from elastic.verification.partial_audit import MatchedPartial
from elastic.verification.step_audit import StepAudit


class ShardAudit:
    """Audit of the files of a step with `shards`. It reads every byte that belongs to the result.

    Args:
        audit: Audit of the step, without findings.
    """

    def __init__(self, audit: StepAudit) -> None:
        store, record = audit.store, audit.record
        self._audit, self._findings = audit, audit.findings
        self._shards: int = record.manifest["shards"]
        self._spill_store = FileSpillStore(folder_of(store.folder, record.step), 0)
        place = store.run_id, record.step
        self._manifest = ShardManifest(self._spill_store, self._shards, place, store.key)

    def check(self, aggregator: AnyAggregator | None) -> None:
        """Report all defects.

        Args:
            aggregator: Merges the pieces again, to compare their result with the stored one; None to skip that.
        """
        pieces: list[Piece] = []
        for matched in self._audit.partials():
            for piece in self._pieces(matched):
                pieces.append(piece)
                self._check_piece(matched, piece)
        if self._findings.list or not self._audit.is_complete:
            return
        jobs = jobs_of(pieces, self._shards)
        try:
            found = self._manifest.read(jobs)
        except CorruptStoreError as error:
            self._findings.add(_clause(error))
            return
        if found is None:
            self._findings.add("the manifest of its result is missing")
            return
        for bundle in found:
            self._check_result(bundle)
        if aggregator is not None and can_shard(aggregator) and not self._findings.list:
            self._check_merge(Sharded(aggregator, self._shards, self._spill_store), jobs, found)

    def state(self, aggregator: AnyAggregator, matched: MatchedPartial) -> Any:
        """Return the aggregator's state of a partial, read from its files."""
        return partitioner_for(aggregator, self._shards).gather(self._packed(matched))

    def _packed(self, matched: MatchedPartial) -> Iterator[bytes]:
        for piece in self._pieces(matched):
            for bundle in piece:
                for block in bundle.blocks(self._spill_store):
                    yield decompress(bundle.read(self._spill_store, block))

    def _pieces(self, matched: MatchedPartial) -> Iterator[Piece]:
        for ordinal in matched.ordinals:
            kept = self._audit.store.state(self._audit.record.step, ordinal)
            yield from pieces_of(decompress(kept.data), self._shards)

    def _check_piece(self, matched: MatchedPartial, piece: Piece) -> None:
        for bundle in piece:
            for damage in bundle.check(self._spill_store):
                for first, stop in matched.named.spans:
                    self._findings.add(f"the partial result that holds it is damaged: {_clause(damage)}", first, stop)

    def _check_result(self, bundle: SpillSegment) -> None:
        try:
            blocks = bundle.blocks(self._spill_store)
        except CorruptStoreError as damage:
            self._findings.add(_clause(damage))
            return
        for block in blocks:
            try:
                data = decompress(bundle.read(self._spill_store, block))
                # Only Polars could compare the content of a frame; reading it has verified the digest of its bytes.
                is_same = is_packed_frame(data) or digest(data) == block.content
            except CorruptStoreError as damage:
                self._findings.add(_clause(damage))
                continue
            except EncodingError:
                is_same = False
            if not is_same:
                place = self._spill_store.describe(bundle.name)
                self._findings.add(f"bucket {block.bucket} in {place} does not match its digest")

    def _check_merge(self, sharded: Sharded, jobs: list[bytes], bundles: list[SpillSegment]) -> None:
        """Merge all pieces again, and compare the result with the stored one."""
        for shard, job in enumerate(jobs):
            made = {bucket: (keys, content) for bucket, keys, content in sharded.contents(job)}
            kept = {block.bucket: (block.keys, block.content) for block in bundles[shard].blocks(self._spill_store)}
            if made != kept:
                self._findings.add(f"shard {shard} of the result differs from its merged pieces")


def _clause(damage: CorruptStoreError) -> str:
    """Return the message of an error without its full stop, for use inside a sentence."""
    return str(damage).rstrip(".")
