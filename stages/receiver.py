"""Receivers: where data enters a node or the master, and a receipt is left for it."""

from collections import Counter
from dataclasses import replace

from elastic.core.chunk import UNCOUNTED, UNREAD
from elastic.core.errors import ReceiptError
from elastic.core.partial import Account, Partial, digest_of
from elastic.core.receipt import NO_RECEIPT, Seal
from elastic.core.stage import Stage
from elastic.core.store import ReceiptRow
from elastic.stages.wire import Call


class NodeReceiver:
    """Takes in every call that reaches a node."""

    def __init__(self, seal: Seal, node_id: str) -> None:
        self.node_id = node_id
        #: chunks that were received
        self.chunks = 0
        self._stamp = seal.stamp(Stage.RECEIVED, node_id)

    def receive(self, call: Call) -> Call:
        """Return the call with this stage's receipts."""
        receipts = []
        for index, (conceived_at, entries) in enumerate(zip(call.conceived_at, call.entries, strict=True)):
            span = slice(16 * index, 16 * index + 16)
            receipts.append(
                self._stamp(
                    call.first + index, call.attempt, conceived_at, entries, call.contents[span], call.receipts[span]
                )
            )
        self.chunks += len(receipts)
        return replace(call, receipts=b"".join(receipts))


class MasterReceiver:
    """Takes in every partial that reaches the master, and believes it only if its receipts verify."""

    def __init__(self, seal: Seal, node_id: str) -> None:
        self.node_id = node_id
        self._seal = seal

    def receive(self, partial: Partial) -> Partial:
        """Check a partial against the receipts of all stages, and return it with the rows to keep.

        Raises:
            ReceiptError: A receipt does not follow from the run's key, the chunk and the receipts before it; names
                the chunk.
        """
        if not partial.accounts:
            raise ReceiptError("a result came without receipts.")
        for account in partial.accounts:
            _check_columns(account)
        if digest_of(partial.states, partial.accounts) != partial.digest:
            raise ReceiptError(f"the result of chunk {partial.first} and others was changed on its way.")
        return replace(partial, rows=tuple(self._row(account, partial.digest) for account in partial.accounts))

    def _row(self, account: Account, state: bytes) -> ReceiptRow:
        master, node = self.node_id, account.node_id
        distributed = self._seal.stamp(Stage.DISTRIBUTED, master)
        sent = self._seal.stamp(Stage.SENT, master)
        received = self._seal.stamp(Stage.RECEIVED, node)
        processed = self._seal.stamp(Stage.PROCESSED, account.worker_id)
        returned = self._seal.stamp(Stage.RETURNED, node)
        aggregated = self._seal.stamp(Stage.AGGREGATED, master)
        attempt, digests = account.attempt, []
        for index, (entries, at) in enumerate(zip(account.entries, account.conceived_at, strict=True)):
            chunk_id, span = account.first + index, slice(16 * index, 16 * index + 16)
            content = account.contents[span]
            known = (entries, content) if account.counted else (UNCOUNTED, UNREAD)
            link = distributed(chunk_id, attempt, at, *known, NO_RECEIPT)
            link = sent(chunk_id, attempt, at, *known, link)
            link = received(chunk_id, attempt, at, *known, link)
            link = processed(chunk_id, attempt, at, entries, content, link)
            if link != account.processed[span]:
                raise ReceiptError(f"the receipts of chunk {chunk_id} from worker {account.worker_id} do not verify.")
            link = returned(chunk_id, attempt, at, entries, state, link)
            if link != account.returned[span]:
                raise ReceiptError(f"the receipts of chunk {chunk_id} from node {node} do not verify.")
            digests.append(aggregated(chunk_id, attempt, at, entries, state, link))
        return ReceiptRow(
            account.first, len(account), attempt, node, account.worker_id, account.conceived_at,
            account.entries, account.contents, state, b"".join(digests), _failed(account),
        )  # fmt: skip


def _failed(account: Account) -> tuple[int, ...]:
    """Return the number of failed entries of each chunk, or nothing where none failed."""
    if not account.letters:
        return ()
    failed = Counter[int]()
    for letter in account.letters:
        failed[letter.failure.chunk_id] += letter.entries
    return tuple(failed[chunk_id] for chunk_id in range(account.first, account.stop))


def _check_columns(account: Account) -> None:
    """Refuse an account whose columns are not of one length, or hold what no receipt is made of."""
    count = len(account.entries)
    lengths = {len(account.conceived_at) * 16, len(account.contents), len(account.processed), len(account.returned)}
    numbers = (account.first, *account.entries, *account.conceived_at)
    is_whole = all(type(number) is int and 0 <= number < 1 << 63 for number in numbers)
    if not count or lengths != {16 * count} or not is_whole or not 0 < account.attempt < 1 << 32:
        raise ReceiptError(f"the receipts of chunk {account.first} from worker {account.worker_id} are damaged.")
