"""Receivers: where data enters a node or the master, and a receipt is left for it."""

from collections import Counter
from dataclasses import replace

from elastic.core.contracts.store import ReceiptRow
from elastic.core.errors import ReceiptError
from elastic.core.model.chunk import describe_chunks
from elastic.core.model.partial import BatchReport, Partial, digest_of
from elastic.core.receipts.receipt import NO_STATE, ReceiptSigner, digest_input
from elastic.core.receipts.receipt_chain import Passage, chain
from elastic.core.receipts.stage import Stage
from elastic.stages.messages import Call


class NodeReceiver:
    """Takes in every call that reaches a node."""

    def __init__(self, seal: ReceiptSigner, node_id: str) -> None:
        self.node_id = node_id
        #: chunks that were received
        self.chunks = 0
        self._stamp = seal.stamp(Stage.RECEIVED, node_id)

    def receive(self, call: Call) -> Call:
        """Return the call with this stage's link."""
        what = digest_input(call.first, call.attempt, call.conceived_at, call.entries, call.contents)
        self.chunks += len(call.references)
        return replace(call, link=self._stamp.link(what, NO_STATE, call.link))


class MasterReceiver:
    """Takes in every partial that reaches the master, and believes it only if its receipts verify."""

    def __init__(self, seal: ReceiptSigner, node_id: str) -> None:
        self.node_id = node_id
        self._seal = seal

    def receive(self, partial: Partial) -> Partial:
        """Check a partial against the receipts of all stages, and return it with the rows to keep.

        Raises:
            ReceiptError: A link does not follow from the run's key, the chunks and the links before it; names the
                chunks.
        """
        if not partial.accounts:
            raise ReceiptError("a result came without receipts.")
        for account in partial.accounts:
            _check_columns(account)
        if digest_of(partial.states, partial.accounts) != partial.digest:
            raise ReceiptError(f"the result of chunk {partial.first} and others was changed on its way.")
        return replace(partial, rows=tuple(self._row(account, partial.digest) for account in partial.accounts))

    def _row(self, account: BatchReport, state: bytes) -> ReceiptRow:
        columns = (account.first, account.attempt, account.conceived_at, account.entries, account.contents)
        passage = Passage(*columns, state, account.node_id, account.worker_id, account.counted)
        *_, processed, returned, aggregated = chain(self._seal, self.node_id, passage)
        for link, came, whose in (
            (processed, account.processed, f"worker {account.worker_id}"),
            (returned, account.returned, f"node {account.node_id}"),
        ):
            if link.digest != came:
                chunks = describe_chunks(account.first, account.stop)
                raise ReceiptError(f"the receipts of {chunks} from {whose} do not verify.")
        return ReceiptRow(
            account.first, len(account), account.attempt, account.node_id, account.worker_id, account.conceived_at,
            account.entries, account.contents, state, aggregated.digest, _failed(account),
        )  # fmt: skip


def _failed(account: BatchReport) -> tuple[int, ...]:
    """Return the number of failed entries of each chunk, or nothing where none failed."""
    if not account.letters:
        return ()
    failed = Counter[int]()
    for letter in account.letters:
        failed[letter.failure.chunk_id] += letter.entries
    return tuple(failed[chunk_id] for chunk_id in range(account.first, account.stop))


def _check_columns(account: BatchReport) -> None:
    """Refuse an account whose columns are not of one length, or hold what no receipt is made of."""
    count = len(account.entries)
    lengths = {len(account.conceived_at) * 16, len(account.contents)}
    numbers = (account.first, *account.entries, *account.conceived_at)
    is_whole = set(map(type, numbers)) == {int} and min(numbers) >= 0 and max(numbers) < 1 << 63
    links = {len(account.processed), len(account.returned)}
    if not count or (lengths, links) != ({16 * count}, {16}) or not is_whole or not 0 < account.attempt < 1 << 32:
        raise ReceiptError(f"the receipts of chunk {account.first} from worker {account.worker_id} are damaged.")
