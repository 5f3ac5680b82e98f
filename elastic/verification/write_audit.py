"""Write audit: checks what a step has written against the parts in the log of its states."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from elastic.aggregators.writing.writing_aggregator import parts_of
from elastic.core.contracts.record_sink import RecordSink, SinkDefect, SinkOwner
from elastic.core.encoding import decompress
from elastic.core.errors import ElasticError, UsageError
from elastic.core.model.written import WrittenFile, joined_spans
from elastic.persistence.written_files.file_sink import audit_files
from elastic.persistence.written_tables.sql_sink import audit_table
from elastic.verification.finding import VerifiedStep
from elastic.verification.partial_audit import MatchedPartial
from elastic.verification.step_audit import StepAudit

#: Audits that need only the description of a sink, by its kind.
_AUDITS: dict[str, Callable[[Mapping[str, Any], SinkOwner, Sequence[WrittenFile]], Iterator[SinkDefect]]] = {
    "files": audit_files,
    "sql": audit_table,
}


class WriteAudit:
    """Audit of the written parts of a step.

    Args:
        audit: Audit of the step, without findings.
        sink: Sink of the step, with its login; None to use the description in the run.
    """

    def __init__(self, audit: StepAudit, sink: RecordSink | None) -> None:
        self._audit, self._findings = audit, audit.findings
        self._sink = sink

    def check(self, verified: VerifiedStep) -> VerifiedStep:
        """Report all defects, and return the summary of the step, with a note if the sink cannot be read."""
        parts = list(self._parts())
        if self._findings.list or not self._audit.is_complete:
            return verified
        owner = SinkOwner(self._audit.store.run_id, self._audit.record.step, 0)
        description: dict[str, Any] = self._audit.record.manifest["sink"]
        try:
            for defect in self._defects(description, owner, parts):
                for first, stop in defect.part.chunks if defect.part is not None else ():
                    self._findings.add(defect.what, first, stop)
                if defect.part is None or not defect.part.chunks:
                    self._findings.add(defect.what)
        except ElasticError as error:
            note = f"the records in {description['url']} were not checked ({str(error).rstrip('.')})"
            return replace(verified, notes=(*verified.notes, note))
        return verified

    def _defects(self, description: dict[str, Any], owner: SinkOwner, parts: list[WrittenFile]) -> Iterator[SinkDefect]:
        if self._sink is not None:
            return self._sink.audit(owner, parts)
        if description["kind"] not in _AUDITS:
            raise UsageError("give the flow that wrote it")
        return _AUDITS[description["kind"]](description, owner, parts)

    def _parts(self) -> Iterator[WrittenFile]:
        for matched in self._audit.partials():
            for ordinal in matched.ordinals:
                state = self._audit.store.state(self._audit.record.step, ordinal)
                for part in parts_of(decompress(state.data)):
                    self._check_chunks(matched, part)
                    yield part

    def _check_chunks(self, matched: MatchedPartial, part: WrittenFile) -> None:
        """Report a part whose chunks are not those of its partial result."""
        spans = joined_spans(matched.named.spans)
        for first, stop in part.chunks:
            if not any(begin <= first and stop <= end for begin, end in spans):
                self._findings.add(f"the file {part.name} claims to hold it, and its receipts do not", first, stop)
