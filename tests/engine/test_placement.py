"""Placement of the next chunks: by name, by a user's class or by a user's object."""

from collections.abc import Sequence
from typing import Any

import pytest
from cluster_driver import inline_and_once_on_ray

import elastic
from elastic.core.contracts.placement import NodeCandidate, Placement
from elastic.core.errors import NoWorkerError, StepSuspendedError, UsageError
from elastic.engine.placement import (
    PLACEMENTS,
    CheckedPlacement,
    LeastOpenReceipts,
    RoundRobin,
    WorkersOnly,
    placement_of,
)

A = NodeCandidate("a", workers=1, open_receipts=9, on_master=True)
B = NodeCandidate("b", workers=4, open_receipts=12, on_master=False)
C = NodeCandidate("c", workers=1, open_receipts=4, on_master=False)


def chosen(placement: Placement, *turns: Sequence[NodeCandidate]) -> list[str | None]:
    return [placement.choose(turn) for turn in turns]


def test_round_robin_goes_round_and_passes_over_who_is_busy() -> None:
    everyone = [A, B, C]
    assert chosen(RoundRobin(), everyone, everyone, everyone, everyone) == ["a", "b", "c", "a"]
    assert chosen(RoundRobin(), everyone, [A, C], everyone, [B], [B]) == ["a", "c", "a", "b", "b"]


def test_least_open_receipts_counts_them_for_each_worker() -> None:
    assert chosen(LeastOpenReceipts(), [A, B, C], [A, C], [A]) == ["b", "c", "a"]


def test_workers_only_leaves_the_master_s_node_out() -> None:
    assert chosen(WorkersOnly(), [A, B, C], [A, B, C], [A, B, C], [A]) == ["b", "c", "b", None]


@pytest.mark.parametrize("name", PLACEMENTS)
def test_a_placement_has_a_name_and_each_step_its_own(name: str) -> None:
    assert type(placement_of(name)) is PLACEMENTS[name]
    assert placement_of(name) is not placement_of(name)


class First(Placement):
    def __init__(self, where: str = "") -> None:
        self.asked = 0

    def choose(self, candidates: Sequence[NodeCandidate]) -> str | None:
        self.asked += 1
        return candidates[0].node_id


def test_a_class_and_an_object_of_the_user_s_own_are_asked() -> None:
    own = First()
    for placement in (First, own):
        assert elastic.from_range(5, chunk_size=1).run(cluster="inline", placement=placement).chunks == 5
    assert own.asked > 0


class Needy(Placement):
    def __init__(self, nodes: list[str]) -> None:
        self.nodes = nodes

    def choose(self, candidates: Sequence[NodeCandidate]) -> str | None:
        return None


class Unfinished(Placement):
    pass


@pytest.mark.parametrize(
    ("placement", "text"),
    [
        ("least_open_receipt", "did you mean 'least_open_receipts'"),
        ("random", "give one of round_robin, least_open_receipts, workers_only"),
        (7, "there is no placement 7"),
        (dict, "there is no placement"),
        (Needy, r"placement Needy cannot be created \(.*missing 1 required"),
        (Unfinished, "placement Unfinished cannot be created"),
    ],
    ids=str,
)
def test_a_value_that_is_no_placement_is_refused_at_once(placement: Any, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        elastic.from_range(5).options(placement=placement)


def answering(answer: Any) -> Placement:
    class Answering(Placement):
        def choose(self, candidates: Sequence[NodeCandidate]) -> str | None:
            if isinstance(answer, BaseException):
                raise answer
            return answer  # type: ignore[no-any-return]

    return Answering()


@inline_and_once_on_ray(
    "case",
    [
        ("mars", r"placement Answering chose 'mars', which is not one of its candidates \("),
        (A, "placement Answering chose NodeCandidate"),
        (ZeroDivisionError("own fault"), r"placement Answering failed \(ZeroDivisionError: own fault\)"),
        (StopIteration(), r"placement Answering failed \(StopIteration"),
    ],
)
def test_a_placement_that_does_what_it_must_not_ends_the_step_with_a_sentence(
    case: tuple[Any, str], cluster: str
) -> None:
    answer, text = case
    with pytest.raises(UsageError, match=text):
        elastic.from_range(5).run(cluster=cluster, placement=answering(answer))


@pytest.mark.parametrize("placement", ["workers_only", answering(None)], ids=["workers_only", "none for ever"])
def test_a_placement_that_never_chooses_suspends_the_step_with_a_sentence(placement: Any) -> None:
    expected = r"placement \w+ left all chunks waiting for 0\.5 s, and the only nodes are inline; add a node"
    with pytest.raises(StepSuspendedError, match=expected) as suspended:
        elastic.from_range(5).run(cluster="inline", placement=placement, start_timeout=0.5)
    assert isinstance(suspended.value.__cause__, NoWorkerError)
    with pytest.raises(NoWorkerError, match=expected):
        elastic.from_range(5).run(cluster="inline", placement=placement, start_timeout=0.5, persist=False)


def test_a_placement_that_declines_now_and_then_only_slows_the_step_down() -> None:
    class Lazy(First):
        def choose(self, candidates: Sequence[NodeCandidate]) -> str | None:
            return super().choose(candidates) if self.asked % 2 else self._decline()

        def _decline(self) -> None:
            self.asked += 1

    result = elastic.from_range(40, chunk_size=1).run(
        cluster="inline", placement=Lazy, max_chunks_per_call=1, start_timeout=5
    )
    assert result.chunks == 40


def test_a_guarded_placement_remembers_whether_it_declined() -> None:
    guarded = CheckedPlacement(WorkersOnly())
    assert not guarded.left_chunks_waiting
    assert (guarded.choose([A]), guarded.left_chunks_waiting) == (None, True)
    assert (guarded.choose([A, B]), guarded.left_chunks_waiting) == ("b", False)
