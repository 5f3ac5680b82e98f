"""Step audit: checks the stored data of one step against its receipts, and the receipts against the run's key."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product

from elastic.core.contracts.store import StepRecord
from elastic.core.encoding import decompress, digest
from elastic.core.errors import CorruptStoreError, EncodingError, LedgerError, ReceiptError, StoreError
from elastic.core.model.chunk import UNREAD
from elastic.core.model.chunk_id_set import ChunkIdSet
from elastic.core.model.failure import DeadLetter
from elastic.core.model.receipt_row import ReceiptRow
from elastic.core.model.step import StepState
from elastic.core.policies.error_policy import OnError
from elastic.core.receipts.merkle import ROOT_VERSION, InputTree, ReceiptTree
from elastic.core.receipts.receipt import ReceiptSigner, decode_token
from elastic.core.receipts.receipt_chain import chain
from elastic.core.receipts.stage import STAGES, Stage
from elastic.persistence.run_store.inspection import RunReader, StoredRow
from elastic.recovery.compatibility import root_version_of
from elastic.run_history import nodes_of_masters
from elastic.verification.finding import Findings, VerifiedStep
from elastic.verification.partial_audit import MatchedPartial, PartialAudit, named_partials


class ChainCheck:
    """Check of receipt chains: it recomputes the links of all six stages.

    Args:
        signer: Signer of the step's receipts.
        masters: Nodes on which masters of the step ran.
    """

    def __init__(self, signer: ReceiptSigner, masters: Sequence[str]) -> None:
        self._signer = signer
        #: pairs of the master's node and whether it counted chunks when it cut them; the last match comes first
        self._candidates = [(master, counted) for counted, master in product((True, False), masters)]

    def holds(self, row: ReceiptRow) -> bool:
        """Return whether the receipts of a row follow from the run's key."""
        for candidate in tuple(self._candidates):
            master, counted = candidate
            try:
                links = chain(self._signer, row, master, counted=counted)
            except ReceiptError:
                return False
            if links[-1].digest == row.link:
                self._candidates.remove(candidate)
                self._candidates.insert(0, candidate)
                return True
        return False


class StepAudit:
    """Audit of one step.

    Args:
        store: Reader of the run.
        record: Record of the step.
        findings: Collects the defects.
    """

    def __init__(self, store: RunReader, record: StepRecord, findings: Findings) -> None:
        self.store, self.record, self.findings = store, record, findings
        self.snapshot = store.snapshot(record.step)
        self._signer = ReceiptSigner(key=store.key, run_id=store.run_id, step=record.step)
        self._chain = ChainCheck(self._signer, nodes_of_masters(record))
        self._trees = InputTree(), ReceiptTree()
        self._total: Counter[str] = Counter()
        #: entries that are dead letters, by chunk; and the total of those that were redriven
        self._dead_letters: Counter[int] = Counter()
        self._redriven = 0
        self._notes: list[str] = []
        #: True once the partial results match those that the receipts name
        self.is_compared = False

    @property
    def is_complete(self) -> bool:
        return StepState(self.record.state).is_complete

    @property
    def root_version(self) -> int:
        """Version of the definition of its roots."""
        return root_version_of(self.record)

    @property
    def is_sharded(self) -> bool:
        """True if the result is partitioned by key, with its states in files."""
        return self.record.manifest.get("shards") is not None

    @property
    def is_written(self) -> bool:
        """True if the step wrote its records to a sink."""
        return self.record.manifest.get("sink") is not None

    def run(self) -> VerifiedStep:
        """Check everything, and return a summary of the step."""
        record = self.record
        self._check_dead_letters()
        self._check_rows()
        if self.findings.list:
            self._notes.append("the partial results were not compared, because receipts are invalid")
        else:
            for _ in self.partials():
                pass
            self.is_compared = not self.findings.list
        self._check_totals()
        if self.root_version != ROOT_VERSION:
            self._notes.append(
                f"its root is of definition {self.root_version}, and this version of Elastic makes those of definition "
                f"{ROOT_VERSION}; a run over the same input has another root today"
            )
        self._note_table()
        if not self.is_complete:
            self._check_stored_chunks()
        for miscount in self.store.miscounted(record.step, self.snapshot):
            if not self.findings.list:
                self.findings.add(miscount)
        return VerifiedStep(
            step=record.step,
            name=record.name,
            state=record.state,
            entries=self._total["entries"] - self._redriven,
            chunks=self._total["chunks"],
            errors=self._total["failed"] - self._redriven,
            root=_root(self._trees[0]),
            receipts_root=_root(self._trees[1]),
            root_version=self.root_version,
            notes=tuple(self._notes),
        )

    def _note_table(self) -> None:
        """Note that the rows of a table were not read, because other programs may change them."""
        sink = self.record.manifest.get("sink") or {}
        if sink.get("kind") == "sql":
            self._notes.append(
                f"the rows in table {sink.get('table')!r} of {sink.get('url')} were not read; elastic_commit has "
                "what the run committed"
            )

    def rows(self, *, as_folded: bool = False) -> Iterator[ReceiptRow]:
        """Yield the readable rows of receipts, by chunk id or in the order in which the master folded them."""
        for kept in self.store.receipt_rows(self.record.step, self.snapshot, as_folded=as_folded):
            if kept.row is not None:
                yield kept.row

    def partials(self) -> Iterator[MatchedPartial]:
        """Compare the log of states with the receipts, and yield the matched partials."""
        manifest = self.record.manifest
        if not manifest.get("stored", True):
            self._notes.append(f"{manifest.get('aggregator')} stores no partial results")
            return
        ordered = bool(manifest.get("ordered", False))
        named = named_partials(self.rows(as_folded=not ordered), ordered=ordered)
        states = self.store.states(self.record.step, self.snapshot)
        log = PartialAudit(named, states, self._dead_letters_of, self.findings)
        yield from log.matched()
        if log.unproved:
            self._notes.append(
                f"{log.unproved} partial results were not compared, because the original dead letters of their "
                "failed entries are missing"
            )

    # -- receipts

    def _check_rows(self) -> None:
        at, folded = 0, ChunkIdSet.of(self.record.low, self.record.bitmap)
        end = max([folded.low, *(stop for _, stop in folded.above)])
        for kept in self.store.receipt_rows(self.record.step, self.snapshot):
            if kept.first > at:
                self._check_gap(at, kept.first, folded)
            elif kept.first < at:
                what = "it is in the result twice: two batches have receipts of it"
                self.findings.add(what, kept.first, min(at, kept.stop))
            self._check_row(kept)
            if kept.stop > end:
                what = "it has receipts, but the step says that it is not in the result"
                self.findings.add(what, max(kept.first, end), kept.stop)
            at = max(at, kept.stop)
        self._check_gap(at, end, folded)

    def _check_gap(self, first: int, stop: int, folded: ChunkIdSet) -> None:
        """Report chunks whose receipts are missing."""
        if first >= stop:
            return
        covered = [(0, folded.low), *folded.above]
        for begin, end in covered:
            if max(first, begin) < min(stop, end):
                self.findings.add("its receipts are missing", max(first, begin), min(stop, end))

    def _check_row(self, kept: StoredRow) -> None:
        row = kept.row
        if row is None:
            self.findings.add(kept.damage, kept.first, kept.stop)
            return
        if not self._chain.holds(row):
            self.findings.add("its receipts do not verify", kept.first, kept.stop)
            return
        failed = row.failed or (0,) * row.count
        for chunk_id, count, entries in zip(range(row.first, kept.stop), failed, row.columns.entries, strict=True):
            self._check_failed(chunk_id, count, entries)
        self._total.update(entries=sum(row.columns.entries), chunks=row.count, failed=sum(failed))
        for tree in self._trees:
            tree.fold(row)

    # -- dead letters

    @property
    def _keeps_dead_letters(self) -> bool:
        """True if all masters of the step stored each failed entry as a dead letter."""
        manifests = (self.record.manifest, *self.record.resumed)
        return all(manifest.get("on_error") == OnError.DEAD_LETTER for manifest in manifests)

    def _check_dead_letters(self) -> None:
        for kept in self.store.stored_dead_letters(self.record.step):
            letter = kept.dead_letter
            if letter is None or letter.failure.chunk_id != kept.chunk_id:
                self.findings.add(kept.damage or "its row holds a dead letter of another chunk", kept.chunk_id)
                continue
            if not self._is_ours(letter):
                self.findings.add("a dead letter has a receipt of another chunk, or none", kept.chunk_id)
            self._dead_letters[kept.chunk_id] += letter.entries
            self._redriven += letter.entries if kept.is_redriven else 0

    def _is_ours(self, letter: DeadLetter) -> bool:
        try:
            fields = decode_token(letter.receipt, key=self.store.key, run_id=self.store.run_id)
        except ReceiptError:
            return False
        known = (self.record.step, letter.failure.chunk_id, Stage.PROCESSED)
        return (fields.step, fields.chunk_id, fields.stage) == known

    def _check_failed(self, chunk_id: int, failed: int, entries: int) -> None:
        letters = self._dead_letters.pop(chunk_id, 0)
        if failed > entries:
            self.findings.add(f"{failed} of its {entries} entries failed", chunk_id)
        elif letters > failed or (letters < failed and self._keeps_dead_letters):
            self.findings.add(f"{failed} of its entries failed and {letters} of them are dead letters", chunk_id)

    def _dead_letters_of(self, first: int, stop: int) -> list[DeadLetter] | None:
        """Return the dead letters of chunks as workers returned them; None if they were changed since."""
        if stop > self.record.counters.get("cut", 0):
            return None  # chunks of a redrive: their dead letters include the attempts of earlier runs
        found = self.store.stored_dead_letters(self.record.step, first, stop)
        return [kept.dead_letter for kept in found if kept.dead_letter is not None]

    # -- totals

    def _check_totals(self) -> None:
        record, counters = self.record, self.record.counters
        for chunk_id in sorted(self._dead_letters):
            self.findings.add("it has dead letters and no receipts", chunk_id)
        if not self.is_complete:
            going = "if no process works on it, " if record.state == StepState.IN_PROGRESS else ""
            advice = f"{going}run `elastic resume {self.store.run_id}`"
            self.findings.add(f"it is {record.state} and not complete; {advice}")
            return
        cut = counters.get("cut", 0)
        if not record.exhausted or record.bitmap.strip(b"\0") or record.low < cut:
            self.findings.add(f"it is {record.state}, but {cut} chunks were cut and {record.low} are in the result")
        if self.findings.list:
            return  # a defect of a chunk makes the sums wrong too
        expected = {
            "entries": self._total["entries"] - self._redriven,
            "entries_failed": self._total["failed"] - self._redriven,
            **{stage.value: self._total["chunks"] for stage in STAGES},
        }
        for name, count in expected.items():
            if counters.get(name, 0) != count:
                self.findings.add(f"the counter {name} says {counters.get(name, 0)} and the receipts say {count}")

    def _check_stored_chunks(self) -> None:
        """Check the stored chunks of a one-shot source, which are not in the result yet."""
        if self.record.manifest.get("replayable", True):
            return
        chunks, folded = self.store.chunks(self.record.step), ChunkIdSet.of(self.record.low, self.record.bitmap)
        try:
            kept = set(chunks.unfinished())
        except StoreError as error:
            self.findings.add(str(error))
            return
        for chunk_id in range(folded.low, self.record.counters.get("cut", 0)):
            if chunk_id in folded:
                continue
            if chunk_id not in kept:
                self.findings.add("it is neither in the result nor stored", chunk_id)
                continue
            try:
                chunk = chunks.get(chunk_id)
                if chunk.content != UNREAD and digest(decompress(chunk.payload or b"")) != chunk.content:
                    self.findings.add("its stored payload differs from the chunk that was cut", chunk_id)
            except (CorruptStoreError, EncodingError) as error:
                self.findings.add(f"its stored payload is damaged: {error}", chunk_id)


def _root(tree: InputTree | ReceiptTree) -> str:
    try:
        return tree.root().hex()
    except LedgerError:
        return ""
