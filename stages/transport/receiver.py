"""Receivers: where data enters a node or the master, and a receipt is left for it."""

from collections import Counter
from dataclasses import replace

from elastic.core.errors import ReceiptError
from elastic.core.model.chunk import describe_chunks
from elastic.core.model.partial import BatchReport, Partial, digest_of
from elastic.core.model.receipt_row import ReceiptRow
from elastic.core.receipts.receipt import NO_STATE, ReceiptSigner
from elastic.core.receipts.receipt_chain import Route, chain
from elastic.core.receipts.stage import Stage
from elastic.stages.messages import Call


class NodeReceiver:
    """Takes in every call that reaches a node."""

    def __init__(self, seal: ReceiptSigner, node_id: str) -> None:
        self.node_id = node_id
        #: chunks that were received
        self.chunks = 0
        self._mac = seal.mac(Stage.RECEIVED, node_id)

    def receive(self, call: Call) -> Call:
        """Return the call with this stage's link."""
        self.chunks += len(call.references)
        return replace(call, link=self._mac.link(call.columns.digest_input(), NO_STATE, call.link))


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
        node_id, worker_id = account.node_id, account.worker_id
        route = Route(master=self.node_id, node_id=node_id, worker_id=worker_id, state=state, counted=account.counted)
        *_, processed, returned, aggregated = chain(self._seal, account.columns, route)
        for link, came, whose in (
            (processed, account.processed, f"worker {worker_id}"),
            (returned, account.returned, f"node {node_id}"),
        ):
            if link.digest != came:
                chunks = describe_chunks(account.first, account.stop)
                raise ReceiptError(f"the receipts of {chunks} from {whose} do not verify.")
        return ReceiptRow(account.columns, node_id, worker_id, state, aggregated.digest, _failed(account))


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
    columns, count = account.columns, len(account)
    lengths = {len(columns.cut_at) * 16, len(columns.contents)}
    numbers = (columns.first, *columns.entries, *columns.cut_at)
    is_whole = set(map(type, numbers)) == {int} and min(numbers) >= 0 and max(numbers) < 1 << 63
    links = {len(account.processed), len(account.returned)}
    if not count or (lengths, links) != ({16 * count}, {16}) or not is_whole or not 0 < columns.attempt < 1 << 32:
        raise ReceiptError(f"the receipts of chunk {account.first} from worker {account.worker_id} are damaged.")
