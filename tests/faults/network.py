"""A simulated cluster: real stations, senders, receivers and workers, and an unreliable network."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count

from elastic.core.ledger.events import BatchLost, NodeLost, WorkerJoined, WorkerLost
from elastic.core.model.partial import Partial
from elastic.core.program import Program
from elastic.stages.messages import COLLECT, Call, Reply, decode_call, decode_reply, encode_call, encode_reply
from elastic.stages.transport.station import Station
from elastic.stages.transport.transport import Arrival, Transport
from elastic.stages.worker.worker import Worker
from tests.core.column_samples import with_changes
from tests.faults.fault_rng import SimulatedClock, Weather

Act = Callable[[], list[Arrival]]


@dataclass
class Process:
    """A worker's process."""

    worker: Worker
    #: time at which it will have processed all its calls
    free_at: float = 0.0
    is_dead: bool = False


@dataclass
class Place:
    """A node."""

    node_id: str
    station: Station
    on_master: bool
    workers: dict[str, Process] = field(default_factory=dict)
    #: True once the master knows of its loss
    is_lost: bool = False
    is_dead: bool = False


@dataclass
class Gathering:
    """Replies of the workers of a node to one collect request."""

    expected: int
    replies: list[Reply]
    is_sent: bool = False


class Network(Transport):
    """Carries calls to simulated nodes.

    It answers every call as the contract says: by a reply, `BatchLost` or `NodeLost`. Events that the contract allows
    happens as well: the answer may be false (the work was done), early (it is still done), doubled, late or changed.

    Args:
        weather: Decides the faults.
        clock: Advances during waits.
        name: Name of the cluster, different for every master.
    """

    def __init__(self, weather: Weather, clock: SimulatedClock, name: str) -> None:
        self._weather, self._clock, self._name = weather, clock, name
        self.node_id = f"{name}-n0"
        self._places: dict[str, Place] = {}
        self._coming: list[tuple[float, int, Act]] = []
        self._order, self._born = count(), count()
        self._states: list[tuple[bytes, ...]] = []
        #: maximum seconds that a worker needs for a call; shorter calls lead to larger batches
        self._busy = weather.rng.choice([0.001, 0.01, 0.1])

    def open(self, program: Program) -> None:
        self._program = program
        for number in range(self._weather.rng.randint(1, 3)):
            self._join(f"{self._name}-n{number}", on_master=number == 0)

    def send(self, node_id: str, call: Call | None) -> None:
        self._weather.may_crash("as it sent a call", 0.002)
        place = self._places[node_id]
        if call is None:
            self._after(self._latency(), lambda: self._gather(place))
            return
        data = encode_call(self._changed_call(call))
        if self._weather.strikes("call lost", 0.1):
            self._after(self._latency(), lambda: [BatchLost(call.batch_id, "no answer", may_be_poison=False)])
            return
        self._after(self._latency("call"), lambda: self._take_in(place, data))

    def poll(self, timeout: float) -> list[Arrival]:
        self._weather.may_crash("as it waited", 0.002)
        arrived = self._mishap()
        until = self._clock.seconds + timeout
        while not arrived and self._coming and self._coming[0][0] <= until:
            at, _, act = heapq.heappop(self._coming)
            self._clock.seconds = max(self._clock.seconds, at)
            arrived += act()
        if not arrived:
            self._clock.seconds = max(self._clock.seconds, until)
        return arrived

    def close(self) -> None:
        self._coming.clear()

    # -- nodes and workers

    def _join(self, node_id: str, *, on_master: bool) -> list[Arrival]:
        place = Place(node_id, Station.of(self._program, node_id, combine=not on_master), on_master)
        self._places[node_id] = place
        for _ in range(self._weather.rng.randint(1, 3)):
            self._start_worker(place)
        return []

    def _start_worker(self, place: Place) -> None:
        worker_id = f"{place.node_id}/{next(self._born)}"

        def joined() -> list[Arrival]:
            if place.is_dead or place.is_lost:
                return []
            worker = Worker(self._program, node_id=place.node_id, worker_id=worker_id)
            place.workers[worker_id] = Process(worker)
            place.station.add_worker(worker_id)
            return [WorkerJoined(place.node_id, worker_id, place.on_master)]

        self._after(self._weather.rng.uniform(0, 0.2), joined)

    def _mishap(self) -> list[Arrival]:
        """Let a random fault of the cluster occur."""
        weather = self._weather
        living = [place for _, place in sorted(self._places.items()) if not place.is_lost and place.workers]
        if not living:
            return []
        place = weather.rng.choice(living)
        worker_id = weather.rng.choice(sorted(place.workers))
        if weather.strikes("worker killed", 0.06):
            place.workers[worker_id].is_dead = True
            return self._worker_lost(place, worker_id, "it was killed")
        if weather.strikes("worker frozen", 0.04):
            process = place.workers[worker_id]
            process.free_at = max(process.free_at, self._clock.seconds) + weather.rng.choice([1, 5, 40])
            if weather.strikes("frozen worker held to be dead", 0.5 / weather.rate):
                lost = self._worker_lost(place, worker_id, "it was silent")
                self._at(process.free_at, lambda: self._wake(place, process))
                return lost
        if weather.strikes("node killed", 0.02):
            place.is_dead = True
            return self._node_lost(place, "its machine failed")
        if weather.strikes("node cut off, and going on", 0.02):
            return self._node_lost(place, "it was silent")
        return []

    def _worker_lost(self, place: Place, worker_id: str, reason: str) -> list[Arrival]:
        calls = list(place.station.calls.get(worker_id, ()))
        del place.workers[worker_id]
        place.station.remove_worker(worker_id)
        self._start_worker(place)
        if place.on_master:
            told: list[Arrival] = [WorkerLost(place.node_id, worker_id, reason)]
            return told + [BatchLost(n, reason, may_be_poison=place.station.may_be_poison(n)) for n in calls]
        gone = ((worker_id, reason),)
        return [
            Reply(node_id=place.node_id, worker_id=worker_id, batch_id=batch_id, dead_workers=gone,
                  may_be_poison=batch_id != COLLECT and place.station.may_be_poison(batch_id))
            for batch_id in calls or [COLLECT]
        ]  # fmt: skip

    def _node_lost(self, place: Place, reason: str) -> list[Arrival]:
        place.is_lost = True
        back_under_its_name = self._weather.strikes("node back under its name", 0.3)
        node_id = place.node_id if back_under_its_name else f"{self._name}-x{next(self._born)}"
        self._after(self._weather.rng.uniform(0, 2), lambda: self._join(node_id, on_master=place.on_master))
        return [NodeLost(place.node_id, reason)]

    def _wake(self, place: Place, process: Process) -> list[Arrival]:
        """Let a worker that was presumed dead reply to earlier requests."""
        if place.is_dead or process.is_dead:
            return []
        return self._deliver(place, place.station.sender.send([process.worker.collect()]))

    # -- calls

    def _take_in(self, place: Place, data: bytes) -> list[Arrival]:
        call = decode_call(data)
        if place.is_dead:
            return []
        try:
            received, worker_id = place.station.receive_call(call)
        except LookupError as error:
            return [BatchLost(call.batch_id, str(error), may_be_poison=False)]
        process = place.workers[worker_id]
        times = 2 if self._weather.strikes("call doubled", 0.05) else 1
        for turn in range(times):
            process.free_at = max(process.free_at, self._clock.seconds) + self._weather.rng.uniform(0.001, 0.05)
            self._at(process.free_at, lambda again=turn > 0: self._work(place, process, received, again=again))
        return []

    def _work(self, place: Place, process: Process, call: Call, *, again: bool) -> list[Arrival]:
        if place.is_dead or process.is_dead:
            return []
        reply = process.worker.work(call)
        # The random generator decides the duration, so that a seed replays.
        reply = replace(reply, seconds=self._weather.rng.uniform(1e-4, self._busy))
        back = place.station.sender.send([reply]) if again else place.station.return_reply(reply)
        return self._deliver(place, back)

    def _gather(self, place: Place) -> list[Arrival]:
        if place.is_dead:
            return []
        empty = Reply(node_id=place.node_id, worker_id="", batch_id=COLLECT)
        asked = place.station.workers_to_collect()
        gathering = Gathering(len(asked), [empty])
        if not asked:
            return self._deliver(place, place.station.sender.send(gathering.replies))
        for worker_id in asked:
            process = place.workers[worker_id]
            at = max(process.free_at, self._clock.seconds)
            self._at(at, lambda process=process: self._gathered(place, process, gathering))
        self._after(1.0, lambda: [] if gathering.is_sent else self._send_gathered(place, gathering))
        return []

    def _gathered(self, place: Place, process: Process, gathering: Gathering) -> list[Arrival]:
        if place.is_dead:
            return []
        if not process.is_dead:
            gathering.replies.append(process.worker.collect())
        gathering.expected -= 1
        if gathering.is_sent or not gathering.expected:
            return self._send_gathered(place, gathering)
        return []

    def _send_gathered(self, place: Place, gathering: Gathering) -> list[Arrival]:
        if place.is_dead:
            return []
        replies, gathering.replies, gathering.is_sent = gathering.replies, gathering.replies[:1], True
        # The duration is not taken from a real clock, so that a seed replays.
        gathered = replace(place.station.sender.send(replies), seconds=0.01 * len(replies))
        return self._deliver(place, gathered)

    # -- replies

    def _deliver(self, place: Place, reply: Reply) -> list[Arrival]:
        """Send a reply to the master over an unreliable line."""
        weather = self._weather
        if place.is_lost and not weather.strikes("word from a node that was given up", 0.7 / weather.rate):
            return []
        if weather.strikes("answer lost", 0.08):
            return self._unanswered(place, reply)
        data = encode_reply(self._changed_reply(reply))
        self._after(self._latency("answer"), lambda: [decode_reply(data)])
        if weather.strikes("answer doubled", 0.05):
            self._after(self._latency(), lambda: [decode_reply(data)])
        return []

    def _unanswered(self, place: Place, reply: Reply) -> list[Arrival]:
        """Return the events in place of a lost reply; the master cannot know whether the batch was processed."""
        if reply.batch_id == COLLECT:
            # The states of the workers are lost with it, and only the loss of the node reports that.
            return [] if place.is_lost else self._node_lost(place, "no answer")
        lost = BatchLost(reply.batch_id, "no answer", may_be_poison=self._weather.rng.random() < 0.5)
        if self._weather.strikes("lost answer that comes after all", 0.3):
            data = encode_reply(reply)
            self._after(self._latency() + 3, lambda: [decode_reply(data)])
        return [lost]

    def _changed_call(self, call: Call) -> Call:
        if self._weather.strikes("call changed on its way", 0.01):
            return replace(call, link=_flipped(call.link, self._weather))
        with_payload = [n for n, payload in enumerate(call.payloads) if payload]
        if with_payload and self._weather.refuses("payload changed on its way", 0.001):
            payloads = list(call.payloads)
            chosen = self._weather.rng.choice(with_payload)
            payloads[chosen] = _flipped(payloads[chosen] or b"", self._weather)
            return replace(call, payloads=tuple(payloads))
        return call

    def _changed_reply(self, reply: Reply) -> Reply:
        partial = reply.partial
        if partial is None:
            return reply
        before = self._weather.rng.choice(self._states) if self._states else None
        self._states.append(partial.states)
        if before not in (None, partial.states) and self._weather.strikes("state of another answer", 0.03):
            return replace(reply, partial=replace(partial, states=before))
        if self._weather.strikes("answer changed on its way", 0.03):
            return replace(reply, partial=self._changed_partial(partial))
        return reply

    def _changed_partial(self, partial: Partial) -> Partial:
        chosen = self._weather.rng.randrange(6)
        first, *others = partial.reports
        if chosen == 0:
            return replace(partial, states=(_flipped(partial.states[0], self._weather), *partial.states[1:]))
        if chosen == 1:
            return replace(
                partial, reports=(replace(first, processed=_flipped(first.processed, self._weather)), *others)
            )
        if chosen == 2:
            return replace(partial, reports=(with_changes(first, contents=first.columns.contents[:-1]), *others))
        if chosen == 3:
            entries = first.columns.entries
            return replace(partial, reports=(with_changes(first, entries=(entries[0] + 1, *entries[1:])),))
        if chosen == 4:
            return replace(partial, digest=_flipped(partial.digest, self._weather))
        return replace(partial, reports=(with_changes(first, first=first.first + 1), *others))

    # -- time

    def _latency(self, what: str | None = None) -> float:
        rng = self._weather.rng
        latency = rng.uniform(0.0005, 0.005)
        if what and self._weather.strikes(f"{what} overtaken", 0.2):
            latency += rng.uniform(0.02, 0.5)
        if what and self._weather.strikes(f"{what} late", 0.03):
            latency += rng.choice([2, 10, 60])
        return latency

    def _after(self, seconds: float, act: Act) -> None:
        self._at(self._clock.seconds + seconds, act)

    def _at(self, seconds: float, act: Act) -> None:
        heapq.heappush(self._coming, (seconds, next(self._order), act))


def _flipped(data: bytes, weather: Weather) -> bytes:
    changed = bytearray(data)
    changed[weather.rng.randrange(len(changed))] ^= 1 << weather.rng.randrange(8)
    return bytes(changed)
