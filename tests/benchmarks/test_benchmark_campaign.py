"""The order of attempts, their number of rounds, and the sizes of workloads."""

from pathlib import Path

import pytest

from benchmarks.campaign import Campaign
from benchmarks.contender_process import Order
from benchmarks.measurement import measure
from benchmarks.process_tree import tells_shared_memory
from benchmarks.report import Report
from benchmarks.sample_text import NO_TEXT
from benchmarks.workloads import WORKLOADS

PLAIN, INLINE, POOL = "python: loop", "elastic inline: map", "pool: imap_unordered"


def test_ours_has_all_rounds_and_a_slow_peer_has_one_and_memory_is_looked_at_last() -> None:
    reports: list[Report] = []
    said: list[str] = []
    Campaign(
        workloads=(WORKLOADS["W4"],),
        engines=("elastic inline", "pool"),
        share=1e-4,
        quick=False,
        rounds=2,
        limit=60,
        # Every other tool is slower than this.
        patience=0,
        text=NO_TEXT,
        say=said.append,
        done=reports.append,
    ).carry_out()
    (report,) = reports
    assert [list(one) for one in report.rounds] == [[PLAIN, INLINE, POOL], [INLINE, PLAIN]]
    assert list(report.watched) == [POOL, PLAIN, INLINE]
    if tells_shared_memory():
        assert all(told.memory for told in report.watched.values())
    assert f"fewer rounds, because an attempt took too long or failed: {POOL}." in str(report)
    assert report.problems == []
    assert said[-1].startswith("W4 took ")


def test_who_hangs_is_ended_and_named() -> None:
    text = str(Path())
    order = Order(engine="python", contenders=[("W4", PLAIN)], share=1000.0, text=("nowhere", text, text, text))
    (told,) = measure(order, watched=False, limit=1)
    assert told.error == "not done after 1 s"
    assert told.seconds is None


@pytest.mark.parametrize(
    ("key", "share", "size"),
    [("W3", 1.0, 100_000), ("W3", 16 / 512, 2_000), ("W4", 1.0, 32_000_000), ("W5", 1 / 512, 20_000), ("W6", 0.1, 1)],
)
def test_a_size_is_round_unless_it_is_the_full_one(key: str, share: float, size: int) -> None:
    assert WORKLOADS[key].size(share) == size
