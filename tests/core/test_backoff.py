"""Delays before retries."""

import math

import pytest

from elastic.core.backoff import Backoff


def test_delays_double_up_to_the_longest() -> None:
    backoff = Backoff(first=0.05, longest=2.0)
    assert [backoff.delay(attempt) for attempt in range(1, 9)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


def test_a_factor_of_one_keeps_the_delay() -> None:
    assert [Backoff(first=3.0, factor=1.0).delay(attempt) for attempt in (1, 2, 100)] == [3.0, 3.0, 3.0]


def test_a_delay_without_a_longest_one_stays_finite() -> None:
    assert math.isfinite(Backoff(first=1e100).delay(1_000_000))


@pytest.mark.parametrize("attempt", [1, 2, 7])
def test_jitter_depends_on_the_seed_only_and_stays_within_its_part(attempt: int) -> None:
    plain, backoff = Backoff(first=1.0), Backoff(first=1.0, jitter=0.25)
    delays = {backoff.delay(attempt, f"task-{n}") for n in range(100)}
    assert len(delays) == 100
    assert delays == {backoff.delay(attempt, f"task-{n}") for n in range(100)}
    whole = plain.delay(attempt)
    assert 0.75 * whole <= min(delays) < 0.85 * whole
    assert 1.15 * whole < max(delays) <= 1.25 * whole


def test_jitter_does_not_exceed_the_longest_delay() -> None:
    backoff = Backoff(first=1.0, longest=4.0, jitter=1.0)
    assert max(backoff.delay(10, str(n)) for n in range(50)) == 4.0
