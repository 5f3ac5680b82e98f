"""The chaos transport: carries calls as another transport does, and lets spirits strike on the way."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from elastic.core.contracts.keyed_aggregator import ShardedAggregator
from elastic.core.ledger.events import BatchLost
from elastic.core.model.partial import BatchReport, Partial
from elastic.core.policies.chaos import Chaos, Fault, FaultRng, KillPoint
from elastic.core.program import Program
from elastic.stages.messages import COLLECT, Call, Reply
from elastic.stages.transport.process_faults import Pick, ProcessFaults
from elastic.stages.transport.transport import Arrival, Transport

#: Seconds by which an answer, or the second of two, is late at most.
_LATEST = {Fault.SLOW: 0.3, Fault.DUPLICATE: 0.02}

#: A result is not changed on its way any more when its chunks were sent so often: one day it must arrive.
_SPARED_FROM = 4


@dataclass(frozen=True, slots=True)
class _Late:
    """What arrives later than it did."""

    due: float  #: monotonic seconds
    arrival: Arrival
    #: who made it late; counted when it arrives, because the step may end before
    spirit: Fault | None = None


class ChaosTransport(Transport):
    """Lets spirits strike between the master and the nodes.

    What the master is told stays true: of a call that a spirit has taken it hears that nobody knows what became of it.

    Args:
        inner: Carries the calls, and belongs to this transport from now on.
        chaos: Which spirits strike.
        counters: Where their strikes are counted, by `Fault.counter`.
    """

    def __init__(self, inner: Transport, chaos: Chaos, counters: Counter[str]) -> None:
        self.node_id = inner.node_id
        self._inner, self._harm = inner, inner.process_faults()
        self._dice, self._counters, self._doom = FaultRng(chaos), counters, chaos.doom
        self._late: list[_Late] = []
        #: the result that the doom waits for has arrived
        self._is_doomed = False
        for spirit in chaos.spirits:
            # Other threads read the counters, and must not find new names while they do.
            counters.setdefault(spirit.counter, 0)

    def open(self, program: Program) -> None:
        self._inner.open(program)

    def send(self, node_id: str, call: Call | None) -> None:
        self._die_if(self._is_doomed)
        if call is None:
            self._inner.send(node_id, None)
            return
        self._die_if(self._is_met(KillPoint.SENT, call.first, call.stop))
        reason = self._loss(node_id)
        if reason is None:
            self._inner.send(node_id, call)
        else:
            self._late.append(_Late(0.0, BatchLost(call.batch_id, reason, may_be_poison=False)))

    def poll(self, timeout: float) -> list[Arrival]:
        self._die_if(self._is_doomed)
        now = time.monotonic()
        wait = min((late.due - now for late in self._late), default=timeout)
        arrived = self._inner.poll(max(0.0, min(timeout, wait)))
        for arrival in arrived:
            self._await_doom(arrival)
        told = [told for arrival in arrived for told in self._meddled(arrival)]
        now = time.monotonic()
        due = [late for late in self._late if late.due <= now]
        self._late = [late for late in self._late if late.due > now]
        for late in due:
            if late.spirit is not None:
                self._count(late.spirit)
        return [*(late.arrival for late in due), *told]

    def reduce(self, aggregator: ShardedAggregator, jobs: Sequence[bytes]) -> Iterator[tuple[int, bytes] | None]:
        return self._inner.reduce(aggregator, jobs)

    def close(self) -> None:
        self._late = []
        if self._harm is not None:
            self._harm.close()
        self._inner.close()

    # -- on the way to a node

    def _loss(self, node_id: str) -> str | None:
        """Let spirits strike at a call; returns why it is lost, or None when it goes on its way."""
        for part in ("sender", "receiver"):
            if self._falls(Fault.RAISE):
                self._count(Fault.RAISE)
                return f"chaos: the {part} of its call raised"
        harm = self._harm
        if harm is None:
            return None
        self._kill_processes(harm, node_id)
        if self._falls(Fault.KILL_RECEIVER):
            self._count(Fault.KILL_RECEIVER)
            if not harm.kill_station(node_id):
                return f"chaos: the receiver of node {node_id} ended"
        return None

    def _kill_processes(self, harm: ProcessFaults, node_id: str) -> None:
        for spirit, freeze in ((Fault.KILL_WORKER, False), (Fault.HANG, True)):
            if self._falls(spirit) and harm.kill_or_freeze_worker(node_id, self._picker(spirit), freeze=freeze):
                self._count(spirit)
        if self._falls(Fault.KILL_NODE) and harm.kill_node(node_id):
            self._count(Fault.KILL_NODE)

    # -- on the way back

    def _meddled(self, arrival: Arrival) -> Iterator[Arrival]:
        # A failure ends the step, and word of a worker that is gone comes once: neither can be told otherwise.
        if not isinstance(arrival, Reply) or arrival.failure is not None or arrival.dead_workers:
            yield arrival
            return
        reply = arrival
        lost = self._lost_answer(reply)
        if lost is not None:
            yield lost
            return
        if reply.partial is not None and _attempts(reply.partial) < _SPARED_FROM and self._falls(Fault.CORRUPT):
            self._count(Fault.CORRUPT)
            reply = replace(reply, partial=self._changed(reply.partial))
        if self._falls(Fault.DUPLICATE):
            self._delay(Fault.DUPLICATE, reply)
        if self._falls(Fault.SLOW):
            self._delay(Fault.SLOW, reply)
        else:
            yield reply

    def _lost_answer(self, reply: Reply) -> BatchLost | None:
        """Return word of an answer to a batch that is lost with what it says, or None."""
        if reply.batch_id == COLLECT:
            return None
        if self._falls(Fault.DROP):
            self._count(Fault.DROP)
            return BatchLost(reply.batch_id, "chaos: its answer was lost", may_be_poison=False, result_may_exist=True)
        if self._harm is not None and self._falls(Fault.KILL_SENDER):
            self._count(Fault.KILL_SENDER)
            if not self._harm.kill_station(reply.node_id):
                reason = f"chaos: the sender of node {reply.node_id} ended"
                return BatchLost(reply.batch_id, reason, may_be_poison=False, result_may_exist=True)
        return None

    def _changed(self, result: Partial) -> Partial:
        """Return a partial with one other byte, in a state or in the receipts of a batch."""
        pick = self._picker(Fault.CORRUPT)
        if result.states and pick(2):
            number = pick(len(result.states))
            states = list(result.states)
            states[number] = _flipped(states[number], pick(len(states[number])))
            return replace(result, states=tuple(states))
        reports = list(result.reports)
        number = pick(len(reports))
        reports[number] = _with_flipped_bit(reports[number], pick)
        return replace(result, reports=tuple(reports))

    def _delay(self, spirit: Fault, reply: Reply) -> None:
        self._late.append(_Late(time.monotonic() + self._dice.delay(spirit, _LATEST[spirit]), reply, spirit))

    # -- dice and doom

    def _falls(self, spirit: Fault) -> bool:
        return self._dice.falls(spirit)

    def _picker(self, spirit: Fault) -> Pick:
        return partial(self._dice.below, spirit)

    def _count(self, spirit: Fault) -> None:
        self._dice.struck[spirit] += 1
        self._counters[spirit.counter] += 1

    def _await_doom(self, arrival: Arrival) -> None:
        if self._doom is None or not isinstance(arrival, Reply) or arrival.partial is None:
            return
        for report in arrival.partial.reports:
            self._die_if(self._is_met(KillPoint.RETURNED, report.first, report.stop))
            self._is_doomed = self._is_doomed or self._is_met(KillPoint.FOLDED, report.first, report.stop)

    def _is_met(self, moment: KillPoint, first: int, stop: int) -> bool:
        doom = self._doom
        return doom is not None and doom.moment is moment and first <= doom.chunk_id < stop

    def _die_if(self, is_met: bool) -> None:
        if is_met:
            os.kill(os.getpid(), signal.SIGKILL)


def _attempts(result: Partial) -> int:
    return max(report.columns.attempt for report in result.reports)


def _flipped(data: bytes, index: int) -> bytes:
    return data[:index] + bytes([data[index] ^ 0xFF]) + data[index + 1 :]


def _with_flipped_bit(report: BatchReport, pick: Pick) -> BatchReport:
    """Return a report with one bit changed in its contents or in one of its links."""
    choice = pick(3)
    if choice == 0:
        contents = report.columns.contents
        return replace(report, columns=replace(report.columns, contents=_flipped(contents, pick(len(contents)))))
    if choice == 1:
        return replace(report, processed=_flipped(report.processed, pick(len(report.processed))))
    return replace(report, returned=_flipped(report.returned, pick(len(report.returned))))
