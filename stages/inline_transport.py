"""The inline transport: everything in this process, and the user's code in this thread."""

import time
from collections import deque
from dataclasses import replace
from itertools import islice

from elastic.core.event import WorkerJoined
from elastic.core.program import Program
from elastic.stages.reading_ahead import ReadingAhead, pays
from elastic.stages.station import Station
from elastic.stages.transport import Arrival, Transport
from elastic.stages.wire import Call, Reply, decode_call, decode_reply, encode_call, encode_reply
from elastic.stages.worker import Worker


class InlineTransport(Transport):
    """One node with one worker, which works while it is polled.

    Calls and replies pass through the same bytes as on a cluster, so that what works here works there.
    """

    node_id = "inline"
    worker_id = "inline/0"

    def __init__(self) -> None:
        self._calls: deque[Call | None] = deque()
        self._arrived: list[Arrival] = []
        self._ahead: ReadingAhead | None = None

    def open(self, program: Program) -> None:
        if pays(program):
            self._ahead = ReadingAhead(program.reader)
            program = replace(program, reader=self._ahead)
        self._station = Station.of(program, self.node_id, combine=False)
        self._station.add_worker(self.worker_id)
        self._worker = Worker(program, node_id=self.node_id, worker_id=self.worker_id)
        self._arrived.append(WorkerJoined(self.node_id, self.worker_id, on_master=True))

    def send(self, node_id: str, call: Call | None) -> None:
        self._calls.append(call)

    def poll(self, timeout: float) -> list[Arrival]:
        if not self._arrived and self._calls:
            self._arrived.append(self._work(self._calls.popleft()))
        elif not self._arrived:
            # Nothing can arrive here by itself: whoever polls waits for something else.
            time.sleep(timeout)
        arrived, self._arrived = self._arrived, []
        return arrived

    def close(self) -> None:
        self._calls.clear()
        if self._ahead is not None:
            self._ahead.close()

    def _work(self, call: Call | None) -> Reply:
        if call is None:
            return decode_reply(encode_reply(self._station.sender.send([self._worker.collect()])))
        if self._ahead is not None:
            self._ahead.foresee([call, *filter(None, islice(self._calls, 1))])
        received, _ = self._station.take_in(decode_call(encode_call(call)))
        return decode_reply(encode_reply(self._station.give_back(self._worker.work(received))))
