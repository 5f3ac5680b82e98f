"""Chaos values, their random decisions, and the ledger after a lost reply."""

from collections import Counter
from typing import Any

import pytest

from elastic.core.errors import UsageError
from elastic.core.ledger import events
from elastic.core.ledger.instructions import CollectNode, Instruction, Send
from elastic.core.ledger.ledger import Ledger
from elastic.core.model.chunk import Chunk
from elastic.core.policies.chaos import (
    CARRIED,
    COSTLY,
    Chaos,
    Fault,
    FaultRng,
    KillPoint,
    MasterKill,
    chaos_of,
    chaos_of_spirits,
)
from elastic.core.policies.engine_tuning import EngineTuning
from elastic.engine.placement import RoundRobin


@pytest.mark.parametrize(("number", "percent"), [(1, 45.45), (20, 32.5), (45, 1.82)])
def test_a_number_of_elasticflow_says_how_likely_sender_and_receiver_raise(number: int, percent: float) -> None:
    chaos = chaos_of_spirits(number)
    assert chaos is not None
    assert chaos.spirits == (Fault.RAISE,)
    assert 100 * chaos.rate == pytest.approx(percent, abs=0.01)


def test_46_is_never() -> None:
    assert chaos_of_spirits(46) is None
    assert chaos_of(46) is None
    assert chaos_of(None) is None


@pytest.mark.parametrize("number", [0, 47, -1, True, 1.0, None, "7"])
def test_other_numbers_are_refused(number: Any) -> None:
    with pytest.raises(UsageError, match="must be a whole number from 1"):
        chaos_of_spirits(number)


def test_names_of_faults_become_chaos() -> None:
    assert chaos_of("kill-worker, drop,drop") == Chaos(spirits=(Fault.KILL_WORKER, Fault.DROP))
    assert Chaos(spirits=("slow",)).spirits == (Fault.SLOW,)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"spirits": ("kill-workr",)}, "there is no spirit 'kill-workr'; did you mean 'kill-worker'"),
        ({"spirits": ("zzz",)}, "there is no spirit 'zzz'; they are raise,hang"),
        ({"spirits": ()}, "chaos needs a spirit"),
        ({"rate": 1.1}, "rate=1.1 of chaos must be a number from 0 to 1"),
        ({"rate": True}, "rate=True of chaos"),
        ({"seed": -1}, "seed=-1 of chaos must be a whole number from 0"),
        ({"most": 1.5}, "most=1.5 of chaos"),
    ],
)
def test_chaos_that_cannot_be_is_refused_in_one_sentence(given: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        Chaos(**given)


def thrown(chaos: Chaos, spirit: Fault, times: int = 2000) -> list[bool]:
    rng = FaultRng(chaos)
    return [rng.falls(spirit) for _ in range(times)]


def test_the_decisions_of_a_fault_depend_on_the_seed_and_not_on_other_faults() -> None:
    alone, among = Chaos(spirits=(Fault.DROP,), seed=7), Chaos(spirits=CARRIED, seed=7)
    assert thrown(alone, Fault.DROP) == thrown(among, Fault.DROP)
    assert thrown(alone, Fault.DROP) != thrown(Chaos(spirits=(Fault.DROP,), seed=8), Fault.DROP)


def test_dice_fall_as_often_as_the_rate_says() -> None:
    for rate in (0.0, 0.05, 0.5, 1.0):
        assert sum(thrown(Chaos(rate=rate), Fault.RAISE)) == pytest.approx(2000 * rate, abs=80)
    assert not any(thrown(Chaos(spirits=(Fault.SLOW,), rate=1.0), Fault.DROP))


@pytest.mark.parametrize("spirit", COSTLY)
def test_a_fault_that_ends_processes_occurs_at_most_as_often_as_allowed(spirit: Fault) -> None:
    rng = FaultRng(Chaos(spirits=(spirit,), rate=1.0, most=2))
    struck = 0
    while rng.falls(spirit):
        rng.struck[spirit] += 1
        struck += 1
    assert struck == 2


def test_kills_of_the_master_are_drawn_among_the_chunks_that_are_not_in_the_result() -> None:
    dooms = [MasterKill.drawn(f"seed {number}", 5, 9) for number in range(200)]
    assert Counter(doom.chunk_id for doom in dooms).keys() == {5, 6, 7, 8}
    assert {doom.moment for doom in dooms} == set(KillPoint)
    assert MasterKill.drawn("seed", 9, 9).chunk_id == 9


# -- lost replies


def started() -> tuple[Ledger, Send]:
    ledger = Ledger(tuning=EngineTuning(), placement=RoundRobin())
    ledger.handle(events.WorkerJoined("n", "n/0"))
    chunks = (Chunk(0, (0,), 1, (0, 1)),)
    (send, *_) = ledger.handle(events.ChunksCut(chunks), events.SourceExhausted())
    assert isinstance(send, Send)
    return ledger, send


def kinds(instructions: list[Instruction]) -> list[type]:
    return [type(instruction) for instruction in instructions]


def test_a_lost_answer_is_waited_for_in_what_its_node_holds_before_work_is_done_again() -> None:
    ledger, send = started()
    lost = events.BatchLost(send.batch.batch_id, "its answer was lost", may_be_poison=False, result_may_exist=True)
    assert kinds(ledger.handle(lost)) == [CollectNode]
    assert ledger.counters["chunks_sent_again"] == 0
    assert kinds(ledger.handle(events.PartialReturned("n", None, collected=True))) == [Send]
    assert ledger.counters["chunks_sent_again"] == 1


def test_a_collection_that_was_asked_for_before_an_answer_was_lost_says_nothing_about_it() -> None:
    ledger, send = started()
    ledger.handle(events.ChunksCut(()))
    held = events.BatchLost(send.batch.batch_id, "its answer was lost", may_be_poison=False, result_may_exist=True)
    assert kinds(ledger.handle(held)) == [CollectNode]
    (again,) = ledger.handle(events.PartialReturned("n", None, collected=True))
    assert isinstance(again, Send)
    # Another collection is in progress when this reply is lost, so only the one after it resolves the doubt.
    node = ledger._flight.nodes["n"]
    node.collecting = True
    assert (
        ledger.handle(events.BatchLost(again.batch.batch_id, "lost", may_be_poison=False, result_may_exist=True)) == []
    )
    assert kinds(ledger.handle(events.PartialReturned("n", None, collected=True))) == [CollectNode]
    assert kinds(ledger.handle(events.PartialReturned("n", None, collected=True))) == [Send]


def test_the_chunks_of_a_lost_answer_wait_again_when_their_node_is_lost() -> None:
    ledger, send = started()
    ledger.handle(events.BatchLost(send.batch.batch_id, "lost", may_be_poison=False, result_may_exist=True))
    ledger.handle(events.NodeLost("n", "it is gone"))
    assert kinds(ledger.handle(events.WorkerJoined("m", "m/0"))) == [Send]


def test_word_that_comes_twice_counts_once() -> None:
    ledger, send = started()
    word = events.BatchProcessed(send.batch.batch_id, "n/0", 0.1)
    ledger.handle(word)
    ledger.handle(word)
    assert ledger._flight.nodes["n"].held == 1
