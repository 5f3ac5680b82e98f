"""Chaos transport: passes calls on to another transport and injects faults on the way."""

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

#: Maximum delay in seconds of a late reply, and of the second copy of a duplicated one.
_MAX_DELAY_SECONDS = {Fault.SLOW: 0.3, Fault.DUPLICATE: 0.02}

#: From this attempt on, results are no longer corrupted, so that every result arrives eventually.
_MAX_CORRUPTED_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class _Late:
    """Delayed arrival."""

    due: float  #: Monotonic seconds.
    arrival: Arrival
    #: Fault that caused the delay; counted on arrival, because the step may end before.
    fault: Fault | None = None


class ChaosTransport(Transport):
    """Transport that injects faults between the master and the nodes.

    Its reports stay true: the master learns of a lost call only that its outcome is unknown.

    Args:
        inner: Transport that carries the calls; owned by this one from now on.
        chaos: Faults to inject.
        counters: Counters of injected faults, by `Fault.counter`.
    """

    def __init__(self, inner: Transport, chaos: Chaos, counters: Counter[str]) -> None:
        self.node_id = inner.node_id
        self._inner, self._process_faults = inner, inner.process_faults()
        self._rng, self._counters, self._master_kill = FaultRng(chaos), counters, chaos.doom
        self._late: list[_Late] = []
        #: The result that triggers the kill of the master has arrived.
        self._kill_at_next_call = False
        for fault in chaos.spirits:
            # Other threads iterate over the counters, so no key may be added later.
            counters.setdefault(fault.counter, 0)

    def open(self, program: Program) -> None:
        self._inner.open(program)

    def send(self, node_id: str, call: Call | None) -> None:
        self._kill_master_if(self._kill_at_next_call)
        if call is None:
            self._inner.send(node_id, None)
            return
        self._kill_master_if(self._is_reached(KillPoint.SENT, call.first, call.stop))
        reason = self._lose_call(node_id)
        if reason is None:
            self._inner.send(node_id, call)
        else:
            self._late.append(_Late(0.0, BatchLost(call.batch_id, reason, may_be_poison=False)))

    def poll(self, timeout: float) -> list[Arrival]:
        self._kill_master_if(self._kill_at_next_call)
        now = time.monotonic()
        wait = min((late.due - now for late in self._late), default=timeout)
        arrived = self._inner.poll(max(0.0, min(timeout, wait)))
        for arrival in arrived:
            self._check_master_kill(arrival)
        on_time = [disturbed for arrival in arrived for disturbed in self._disturb(arrival)]
        now = time.monotonic()
        due = [late for late in self._late if late.due <= now]
        self._late = [late for late in self._late if late.due > now]
        for late in due:
            if late.fault is not None:
                self._count(late.fault)
        return [*(late.arrival for late in due), *on_time]

    def reduce(self, aggregator: ShardedAggregator, jobs: Sequence[bytes]) -> Iterator[tuple[int, bytes] | None]:
        return self._inner.reduce(aggregator, jobs)

    def close(self) -> None:
        self._late = []
        if self._process_faults is not None:
            self._process_faults.close()
        self._inner.close()

    # -- on the way to a node

    def _lose_call(self, node_id: str) -> str | None:
        """Inject faults into a call; return the reason for its loss, or None if it is sent."""
        for part in ("sender", "receiver"):
            if self._occurs(Fault.RAISE):
                self._count(Fault.RAISE)
                return f"chaos: the {part} of its call raised"
        process_faults = self._process_faults
        if process_faults is None:
            return None
        self._kill_processes(process_faults, node_id)
        if self._occurs(Fault.KILL_RECEIVER):
            self._count(Fault.KILL_RECEIVER)
            if not process_faults.kill_station(node_id):
                return f"chaos: the receiver of node {node_id} ended"
        return None

    def _kill_processes(self, process_faults: ProcessFaults, node_id: str) -> None:
        for fault, freeze in ((Fault.KILL_WORKER, False), (Fault.HANG, True)):
            if self._occurs(fault) and process_faults.kill_or_freeze_worker(
                node_id, self._picker(fault), freeze=freeze
            ):
                self._count(fault)
        if self._occurs(Fault.KILL_NODE) and process_faults.kill_node(node_id):
            self._count(Fault.KILL_NODE)

    # -- on the way back

    def _disturb(self, arrival: Arrival) -> Iterator[Arrival]:
        # A failure ends the step, and a worker's death is reported only once, so the master must receive both.
        if not isinstance(arrival, Reply) or arrival.failure is not None or arrival.dead_workers:
            yield arrival
            return
        reply = arrival
        lost = self._lose_reply(reply)
        if lost is not None:
            yield lost
            return
        if (
            reply.partial is not None
            and _attempts(reply.partial) < _MAX_CORRUPTED_ATTEMPTS
            and self._occurs(Fault.CORRUPT)
        ):
            self._count(Fault.CORRUPT)
            reply = replace(reply, partial=self._corrupt(reply.partial))
        if self._occurs(Fault.DUPLICATE):
            self._delay(Fault.DUPLICATE, reply)
        if self._occurs(Fault.SLOW):
            self._delay(Fault.SLOW, reply)
        else:
            yield reply

    def _lose_reply(self, reply: Reply) -> BatchLost | None:
        """Return the loss of a batch's reply, or None if the reply arrives."""
        if reply.batch_id == COLLECT:
            return None
        if self._occurs(Fault.DROP):
            self._count(Fault.DROP)
            return BatchLost(reply.batch_id, "chaos: its answer was lost", may_be_poison=False, result_may_exist=True)
        if self._process_faults is not None and self._occurs(Fault.KILL_SENDER):
            self._count(Fault.KILL_SENDER)
            if not self._process_faults.kill_station(reply.node_id):
                reason = f"chaos: the sender of node {reply.node_id} ended"
                return BatchLost(reply.batch_id, reason, may_be_poison=False, result_may_exist=True)
        return None

    def _corrupt(self, result: Partial) -> Partial:
        """Return a partial with one changed byte, in a state or in the receipts of a batch."""
        pick = self._picker(Fault.CORRUPT)
        if result.states and pick(2):
            number = pick(len(result.states))
            states = list(result.states)
            states[number] = _flip(states[number], pick(len(states[number])))
            return replace(result, states=tuple(states))
        reports = list(result.reports)
        number = pick(len(reports))
        reports[number] = _with_flipped_bit(reports[number], pick)
        return replace(result, reports=tuple(reports))

    def _delay(self, fault: Fault, reply: Reply) -> None:
        self._late.append(_Late(time.monotonic() + self._rng.delay(fault, _MAX_DELAY_SECONDS[fault]), reply, fault))

    # -- random numbers, counters, and the kill of the master

    def _occurs(self, fault: Fault) -> bool:
        return self._rng.falls(fault)

    def _picker(self, fault: Fault) -> Pick:
        return partial(self._rng.below, fault)

    def _count(self, fault: Fault) -> None:
        self._rng.struck[fault] += 1
        self._counters[fault.counter] += 1

    def _check_master_kill(self, arrival: Arrival) -> None:
        if self._master_kill is None or not isinstance(arrival, Reply) or arrival.partial is None:
            return
        for report in arrival.partial.reports:
            self._kill_master_if(self._is_reached(KillPoint.RETURNED, report.first, report.stop))
            self._kill_at_next_call = self._kill_at_next_call or self._is_reached(
                KillPoint.FOLDED, report.first, report.stop
            )

    def _is_reached(self, moment: KillPoint, first: int, stop: int) -> bool:
        kill = self._master_kill
        return kill is not None and kill.moment is moment and first <= kill.chunk_id < stop

    def _kill_master_if(self, is_reached: bool) -> None:
        if is_reached:
            os.kill(os.getpid(), signal.SIGKILL)


def _attempts(result: Partial) -> int:
    return max(report.columns.attempt for report in result.reports)


def _flip(data: bytes, index: int) -> bytes:
    return data[:index] + bytes([data[index] ^ 0xFF]) + data[index + 1 :]


def _with_flipped_bit(report: BatchReport, pick: Pick) -> BatchReport:
    """Return a report with one bit changed in its contents or in one of its links."""
    choice = pick(3)
    if choice == 0:
        contents = report.columns.contents
        return replace(report, columns=replace(report.columns, contents=_flip(contents, pick(len(contents)))))
    if choice == 1:
        return replace(report, processed=_flip(report.processed, pick(len(report.processed))))
    return replace(report, returned=_flip(report.returned, pick(len(report.returned))))
