"""Trigger rules, and the delays before tries."""

from datetime import timedelta

import pytest
from dag_samples import Echo
from hypothesis import given
from hypothesis import strategies as st

from elastic.dag.execution.retry import MAX_DELAY, delay_before, retry_delay_of
from elastic.dag.states.state import TaskState
from elastic.dag.states.trigger_rule import TriggerRule, evaluate_trigger_rule
from elastic.dag.states.verdict import Decision

LETTERS = {
    "s": TaskState.SUCCESS, "f": TaskState.FAILED, "u": TaskState.UPSTREAM_FAILED, "k": TaskState.SKIPPED,
    "r": TaskState.RUNNING, "y": TaskState.UP_FOR_RETRY, "-": None, "x": TaskState.REMOVED,
}  # fmt: skip

#: Per rule: states of the upstream tasks, and the decision.
STORIES = {
    "all_success": "ss:run sf:fail su:fail sk:skip fk:fail sr:wait s-:wait kr:skip fr:fail sx:run x:run sy:wait",
    "all_failed": "ff:run fu:run sf:skip fk:skip fr:wait s-:skip",
    "all_done": "sfku:run sfr:wait -:wait",
    "one_success": "sr:run fr:wait ff:fail fk:fail kk:skip s-:run",
    "one_failed": "fr:run ur:run sr:wait ss:skip kk:skip",
    "none_failed": "sk:run kk:run sf:fail fr:fail sr:wait",
    "none_skipped": "sf:run ff:run sk:skip kr:skip sr:wait",
    "none_failed_min_one_success": "sk:run kk:skip sf:fail sr:wait fk:fail",
    "always": "-:run fr:run k:run",
}


@pytest.mark.parametrize(
    ("rule", "states", "decision"),
    [(rule, *story.split(":")) for rule, stories in STORIES.items() for story in stories.split()],
)
def test_a_rule_decides_by_the_states_before(rule: str, states: str, decision: str) -> None:
    before = {f"task_{number}": LETTERS[letter] for number, letter in enumerate(states)}
    assert evaluate_trigger_rule(TriggerRule(rule), before).decision == decision


@pytest.mark.parametrize("rule", TriggerRule)
def test_a_task_that_nothing_comes_before_runs(rule: TriggerRule) -> None:
    assert evaluate_trigger_rule(rule, {}).decision is Decision.RUN


@given(st.sampled_from(TriggerRule), st.dictionaries(st.text(min_size=1), st.sampled_from(list(LETTERS.values()))))
def test_no_task_waits_after_its_upstream_tasks_are_done(
    rule: TriggerRule, before: dict[str, TaskState | None]
) -> None:
    verdict = evaluate_trigger_rule(rule, before)
    if all(state is not None and state.is_final for state in before.values()):
        assert verdict.decision is not Decision.WAIT
    assert verdict.reason


def test_a_verdict_says_who_is_to_blame_and_which_state_follows() -> None:
    before = {"load": TaskState.FAILED, "sensor": None}
    failed = evaluate_trigger_rule(TriggerRule.ALL_SUCCESS, before)
    assert (failed.reason, failed.decision.state) == ("'load' failed", TaskState.UPSTREAM_FAILED)
    waiting = evaluate_trigger_rule(TriggerRule.ALL_DONE, dict.fromkeys("abcde"))
    assert (waiting.reason, waiting.decision.state) == ("waiting for 'a', 'b', 'c' and 2 more", None)
    assert evaluate_trigger_rule(TriggerRule.ALL_SUCCESS, {"b": TaskState.SKIPPED}).decision.state is TaskState.SKIPPED


def delays(**settings: object) -> list[float]:
    task = Echo(task_id="t", **settings)
    return [delay_before(number, task, "seed").total_seconds() for number in range(1, 8)]


def test_a_delay_is_the_same_before_each_try_but_the_first() -> None:
    assert delays() == [0, 10, 10, 10, 10, 10, 10]


def test_back_off_doubles_the_delay_up_to_its_limit() -> None:
    assert delays(retry_exponential_backoff=True) == [0, 10, 20, 40, 80, 160, 320]
    assert delays(retry_exponential_backoff=True, max_retry_delay=60) == [0, 10, 20, 40, 60, 60, 60]
    task = Echo(task_id="t", retry_exponential_backoff=True)
    assert delay_before(10_000, task, "seed") == MAX_DELAY
    assert delay_before(3, Echo(task_id="t", retry_delay=timedelta(days=9)), "seed") == timedelta(days=9)


@given(st.text(), st.integers(2, 50))
def test_jitter_stays_within_its_share_and_gives_everybody_the_same_answer(seed: str, number: int) -> None:
    task = Echo(task_id="t", retry_delay=100, retry_jitter=0.25)
    delay = delay_before(number, task, seed)
    assert timedelta(seconds=75) <= delay <= timedelta(seconds=125)
    assert delay_before(number, task, seed) == delay


def test_jitter_tells_instances_apart() -> None:
    task = Echo(task_id="t", retry_delay=100, retry_jitter=0.5)
    assert len({delay_before(2, task, f"seed {number}") for number in range(50)}) == 50


def test_only_a_failed_attempt_before_the_last_try_is_retried() -> None:
    task = Echo(task_id="t", retries=2, retry_delay=timedelta(seconds=5), retry_exponential_backoff=True)
    found = [retry_delay_of(number, 3, task, "seed") for number in (1, 2, 3, 4)]
    assert found == [delay_before(2, task, "seed"), delay_before(3, task, "seed"), None, None]
    assert retry_delay_of(1, 0, task, "seed") is None
