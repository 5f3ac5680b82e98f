"""Inline transport: everything in this process, and user functions in this thread."""

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace

from elastic.core.ledger.events import WorkerJoined
from elastic.core.program import Program
from elastic.stages.messages import Call, Reply, decode_call, decode_reply, encode_call, encode_reply
from elastic.stages.transport.station import Station
from elastic.stages.transport.transport import Arrival, Transport
from elastic.stages.worker.pipeline import optimize
from elastic.stages.worker.prefetch import THREADS, Prefetcher, can_prefetch
from elastic.stages.worker.worker import Worker


class InlineTransport(Transport):
    """Transport with one node and one worker, which works while the master polls.

    Calls and replies are encoded and decoded as on a cluster, so code that works here works there. Only a state whose
    aggregator passes it by reference also travels as an object.
    """

    node_id = "inline"
    worker_id = "inline/0"

    def __init__(self) -> None:
        self._calls: deque[Call | None] = deque()
        self._arrived: list[Arrival] = []
        # If the program leaves a CPU free, chunks are prefetched, and states are encoded in the background.
        self._prefetcher: Prefetcher | None = None
        self._encoder = ThreadPoolExecutor(1, "encoding")
        self._encoding: deque[Future[Reply]] = deque()

    def open(self, program: Program) -> None:
        program = optimize(program)
        if can_prefetch(program):
            self._prefetcher = Prefetcher(program)
            program = replace(program, reader=self._prefetcher)
        self._station = Station.of(program, self.node_id, combine=False)
        self._station.add_worker(self.worker_id)
        self._worker = Worker(program, node_id=self.node_id, worker_id=self.worker_id)
        alone = self._prefetcher is None
        prefetched = 0 if alone else THREADS
        joined = WorkerJoined(self.node_id, self.worker_id, on_master=True, ahead=prefetched, in_thread=alone)
        self._arrived.append(joined)

    def send(self, node_id: str, call: Call | None) -> None:
        self._calls.append(call)

    def poll(self, timeout: float) -> list[Arrival]:
        if not self._arrived and self._calls:
            self._process(self._calls.popleft())
        elif not self._arrived and self._encoding:
            wait([self._encoding[0]], timeout)
        elif not self._arrived:
            # Nothing arrives without a call, so the caller waits for something else.
            time.sleep(timeout)
        while self._encoding and self._encoding[0].done():
            self._deliver(self._station.sender.send([self._encoding.popleft().result()]))
        arrivals, self._arrived = self._arrived, []
        return arrivals

    def cause(self) -> BaseException | None:
        return self._worker.cause

    def close(self) -> None:
        self._calls.clear()
        self._encoder.shutdown(wait=False, cancel_futures=True)
        if self._prefetcher is not None:
            self._prefetcher.close()

    def _process(self, call: Call | None) -> None:
        """Process a call, or return the held state (None)."""
        if self._prefetcher is not None:
            self._prefetcher.prefetch(filter(None, (call, *self._calls)))
        if call is not None:
            received, _ = self._station.receive_call(decode_call(encode_call(call)))
            self._deliver(self._station.return_reply(self._worker.work(received)))
        elif self._prefetcher is None:
            self._deliver(self._station.sender.send([self._worker.collect()]))
        else:
            self._encoding.append(self._encoder.submit(self._worker.release()))

    def _deliver(self, reply: Reply) -> None:
        decoded = decode_reply(encode_reply(reply))
        if reply.partial is not None and decoded.partial is not None:
            # The encoded message does not contain the live state; pass the object along.
            decoded = replace(decoded, partial=replace(decoded.partial, live_state=reply.partial.live_state))
        self._arrived.append(decoded)
