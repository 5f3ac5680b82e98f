"""The inline transport: everything in this process, and the user's functions in this thread."""

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace

from elastic.core.ledger.events import WorkerJoined
from elastic.core.program import Program
from elastic.stages.messages import Call, Reply, decode_call, decode_reply, encode_call, encode_reply
from elastic.stages.transport.station import Station
from elastic.stages.transport.transport import Arrival, Transport
from elastic.stages.worker.prefetch import THREADS, Prefetcher, can_prefetch
from elastic.stages.worker.worker import Worker


class InlineTransport(Transport):
    """One node with one worker, which works while it is polled.

    Calls and replies pass through the same bytes as on a cluster, so that what works here works there; only a state
    that its aggregator passes by reference is also taken along as it is.
    """

    node_id = "inline"
    worker_id = "inline/0"

    def __init__(self) -> None:
        self._calls: deque[Call | None] = deque()
        self._arrived: list[Arrival] = []
        # A program that leaves a CPU free is read ahead of, and what it has folded is encoded while it goes on.
        self._ahead: Prefetcher | None = None
        self._encoder = ThreadPoolExecutor(1, "encoding")
        self._encoding: deque[Future[Reply]] = deque()

    def open(self, program: Program) -> None:
        if can_prefetch(program):
            self._ahead = Prefetcher(program)
            program = replace(program, reader=self._ahead)
        self._station = Station.of(program, self.node_id, combine=False)
        self._station.add_worker(self.worker_id)
        self._worker = Worker(program, node_id=self.node_id, worker_id=self.worker_id)
        ahead = 0 if self._ahead is None else THREADS
        self._arrived.append(WorkerJoined(self.node_id, self.worker_id, on_master=True, ahead=ahead))

    def send(self, node_id: str, call: Call | None) -> None:
        self._calls.append(call)

    def poll(self, timeout: float) -> list[Arrival]:
        if not self._arrived and self._calls:
            self._do(self._calls.popleft())
        elif not self._arrived and self._encoding:
            wait([self._encoding[0]], timeout)
        elif not self._arrived:
            # Nothing can arrive here by itself: whoever polls waits for something else.
            time.sleep(timeout)
        while self._encoding and self._encoding[0].done():
            self._answer(self._station.sender.send([self._encoding.popleft().result()]))
        arrived, self._arrived = self._arrived, []
        return arrived

    def cause(self) -> BaseException | None:
        return self._worker.cause

    def close(self) -> None:
        self._calls.clear()
        self._encoder.shutdown(wait=False, cancel_futures=True)
        if self._ahead is not None:
            self._ahead.close()

    def _do(self, call: Call | None) -> None:
        """Work on a call, or hand out what is held."""
        if self._ahead is not None:
            self._ahead.prefetch(filter(None, (call, *self._calls)))
        if call is not None:
            received, _ = self._station.receive_call(decode_call(encode_call(call)))
            self._answer(self._station.return_reply(self._worker.work(received)))
        elif self._ahead is None:
            self._answer(self._station.sender.send([self._worker.collect()]))
        else:
            self._encoding.append(self._encoder.submit(self._worker.release()))

    def _answer(self, reply: Reply) -> None:
        arrived = decode_reply(encode_reply(reply))
        if reply.partial is not None and arrived.partial is not None:
            # No message carries this, and here none needs to.
            arrived = replace(arrived, partial=replace(arrived.partial, live_state=reply.partial.live_state))
        self._arrived.append(arrived)
