"""Interceptor dispatch: calls the interceptors of a step, and isolates the step from their errors."""

import logging
from collections.abc import Sequence
from typing import Any

from elastic.core.callables import check_methods
from elastic.core.contracts.interceptor import Interceptor
from elastic.core.errors import UsageError
from elastic.core.model.partial import Partial
from elastic.core.model.receipt_row import ReceiptRow
from elastic.core.receipts.receipt import NO_LINK, NO_STATE, Receipt, ReceiptSigner
from elastic.core.receipts.receipt_chain import chain, receipts_of
from elastic.stages.messages import Call

_log = logging.getLogger("elastic.interceptor")

#: Callbacks that get a receipt of each chunk. Receipts are built only if an interceptor overrides one of them.
_RECEIPT_CALLBACKS = ("send", "receive", "distributed", "aggregated")


def interceptors_of(value: Any) -> tuple[Interceptor, ...]:
    """Return interceptors for None, an Interceptor class or object, or several of them.

    Raises:
        UsageError: A value is not an interceptor, or its class overrides `step_update`.
    """
    values = value if isinstance(value, list | tuple) else () if value is None else (value,)
    found = []
    for item in values:
        interceptor = _instance_of(item) if isinstance(item, type) and issubclass(item, Interceptor) else item
        if not isinstance(interceptor, Interceptor):
            raise UsageError(f"interceptor {item!r} is not an Interceptor; derive a class from elastic.Interceptor.")
        if type(interceptor).step_update is not Interceptor.step_update:
            raise UsageError(f"{type(interceptor).__name__}.step_update cannot be overridden; override task_complete.")
        check_methods(f"interceptor {type(interceptor).__name__}", interceptor, Interceptor)
        found.append(interceptor)
    return tuple(found)


def _instance_of(kind: type[Interceptor]) -> Interceptor:
    try:
        return kind()
    except Exception as error:
        raise UsageError(
            f"interceptor {kind.__name__} cannot be created without arguments ({error}); pass an instance."
        ) from error


class InterceptorDispatch:
    """Dispatcher of callbacks to interceptors, in order; it reports an interceptor that raises, and drops it."""

    def __init__(
        self, interceptors: Sequence[Interceptor], signer: ReceiptSigner, master_node: str, *, done: int = 0
    ) -> None:
        self._active = list(interceptors)
        self._signer = signer
        self._master = master_node
        #: numbers of chunks so far, including `done` chunks of earlier masters
        self._distributed = self._aggregated = done
        self._last: Receipt | None = None
        #: errors of interceptors, one sentence each
        self.errors: list[str] = []

    def notify(self, callback: str, *arguments: Any) -> None:
        """Call the method `callback` of every interceptor."""
        for interceptor in tuple(self._active):
            try:
                getattr(interceptor, callback)(*arguments)
            except (Exception, SystemExit) as error:
                self._active = [other for other in self._active if other is not interceptor]
                # `step_update` only calls `task_complete`, which is what users override.
                name = "task_complete" if callback == "step_update" else callback
                text = f"interceptor {type(interceptor).__name__}.{name} raised {type(error).__name__}: {error}"
                self.errors.append(text)
                _log.warning("%s; it gets no further callbacks.", text, exc_info=True)

    def sent(self, call: Call, node_id: str) -> None:
        """Notify interceptors of a call that the master sent."""
        if call.columns.attempt == 1:
            self._distributed += len(call.references)
        if not self._wants_receipts():
            return
        count = self._distributed - len(call.references) * (call.columns.attempt == 1)
        # Only the first two stages are valid: the batch has not been processed yet.
        row = ReceiptRow(call.columns, node_id, "", NO_STATE, NO_LINK)
        links = chain(self._signer, row, self._master, counted=True)
        for distributed, sent, *_ in receipts_of(self._signer, links):
            count += call.columns.attempt == 1
            self.notify("distributed", distributed, count)
            self.notify("send", self._master, f"receiver_{node_id}", "receive_new_parcel", sent)

    def folded(self, partial: Partial) -> None:
        """Notify interceptors of a partial that is in the result."""
        self._aggregated += partial.chunks
        for letter in partial.dead_letters:
            self.notify("failed", letter.failure)
        if not self._wants_receipts():
            return
        count = self._aggregated - partial.chunks
        for report, row in zip(partial.reports, partial.rows, strict=True):
            links = chain(self._signer, row, self._master, counted=report.counted)
            for _, _, received, _, returned, aggregated in receipts_of(self._signer, links):
                node = row.node_id
                count += 1
                self.notify("receive", node, f"sender_{node}", "send_parcel_to_master", received)
                self.notify("send", node, f"receiver_{self._master}", "receive_return_parcel", returned)
                self.notify("receive", self._master, "aggregator", "merge_processed_result", returned)
                self.notify("aggregated", aggregated, count)
                self._last = aggregated

    def complete(self, retries: int) -> None:
        """Notify interceptors that all chunks are in the result."""
        self.notify("step_update", self._last, self._distributed, self._aggregated, retries)

    def _wants_receipts(self) -> bool:
        return any(
            getattr(type(interceptor), name) is not getattr(Interceptor, name)
            for interceptor in self._active
            for name in (*_RECEIPT_CALLBACKS, "task_complete")
        )
