"""Rounds of chaos: a flow that nobody disturbs, then the same with spirits, and whether the answers are the same."""

import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from elastic.chaos.killable_master import MasterJob, run_master, with_chaos_options
from elastic.chaos.outcome import ResultDigest, RunOutcome
from elastic.core.errors import ElasticError, UsageError
from elastic.core.policies.chaos import Chaos, Fault
from elastic.engine.cluster import address_of, check_chaos, cluster_of
from elastic.engine.options import GivenOptions
from elastic.engine.run import FlowRun
from elastic.engine.step import Step

#: Masters that a round kills at most, one after another.
_MASTERS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosRound:
    """What spirits did to a run, and what came of it."""

    seed: int
    run_id: str
    #: how often each spirit struck; without those that did not
    strikes: dict[str, int]
    retries: int
    duplicates_dropped: int
    receipts_refused: int
    seconds: float
    #: what is not as in the answer of the clean run; an empty text when all is
    difference: str

    @property
    def struck(self) -> int:
        """How often any spirit struck; a round of 0 proves nothing."""
        return sum(self.strikes.values())

    @property
    def verdict(self) -> str:
        """`same` or `DIFFERENT`, with what there is to say about it."""
        if self.difference:
            return f"DIFFERENT ({self.difference})"
        return "same" if self.struck else "same (nothing struck)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosTest:
    """A flow that is run again and again while spirits strike.

    Raises:
        UsageError: A spirit cannot strike on the cluster.
    """

    #: returns the step, anew each time, because a source may be read once only
    step: Callable[[], Step]
    chaos: Chaos
    #: where a process of its own finds the flow; without it no master can be killed
    target: str | None = None
    options: GivenOptions = field(default_factory=GivenOptions)

    def __post_init__(self) -> None:
        others = self._without_master(self.chaos)
        if others is not None:
            check_chaos(others, self._cluster())
        if others != self.chaos and self.target is None:
            raise UsageError("spirit kill-master needs the flow's target, because the master gets its own process.")

    def clean(self) -> ResultDigest:
        """Run the flow with nobody in its way.

        Raises:
            ElasticError: It comes to no answer.
        """
        run = self._run(None)
        if run.answer is None:
            raise ElasticError(f"the flow comes to no answer by itself: {run.error}")
        return run.answer

    def rounds(self, clean: ResultDigest, count: int) -> Iterator[ChaosRound]:
        """Yield rounds with the seed of the chaos and those that follow it; each is compared to the clean answer."""
        for seed in range(self.chaos.seed, self.chaos.seed + count):
            yield self._round(replace(self.chaos, seed=seed), clean)

    def _round(self, chaos: Chaos, clean: ResultDigest) -> ChaosRound:
        began = time.monotonic()
        try:
            outcome = self._run(chaos) if self._without_master(chaos) == chaos else self._killed(chaos, clean)
        except ElasticError as error:
            outcome = RunOutcome(run_id="", answer=None, counters={}, error=str(error))
        answer = outcome.answer
        strikes = {spirit.value: outcome.counters.get(spirit.counter, 0) for spirit in chaos.spirits}
        return ChaosRound(
            seed=chaos.seed,
            run_id=outcome.run_id,
            strikes={spirit: count for spirit, count in strikes.items() if count},
            retries=outcome.counters.get("chunks_sent_again", 0),
            duplicates_dropped=outcome.counters.get("duplicates_dropped", 0),
            receipts_refused=outcome.counters.get("receipts_refused", 0),
            seconds=time.monotonic() - began,
            difference=f"no answer: {outcome.error}" if answer is None else clean.difference(answer),
        )

    def _run(self, chaos: Chaos | None) -> RunOutcome:
        """Run the flow in this process."""
        step = with_chaos_options(self.step().with_options(**self.options), chaos)
        run = FlowRun.create(step.options.home, step.options.chunk_store)
        try:
            return RunOutcome.of(run.master(0, step).run())
        finally:
            run.close()

    def _killed(self, chaos: Chaos, clean: ResultDigest) -> RunOutcome:
        """Run the flow in processes of their own, of which all but the last are killed."""
        others = self._without_master(chaos)
        kills = random.Random(f"{chaos.seed} masters").randint(1, _MASTERS)  # noqa: S311 - no secret
        errand = MasterJob(
            target=str(self.target),
            # Each of the masters meets them, so once is enough for what takes its time.
            chaos=others and replace(others, most=min(others.most, 1)),
            seed=chaos.seed,
            chunks=clean.chunks,
            options={**self.options, "cluster": address_of(self._cluster())},
        )
        killed, outcome = 0, None
        while outcome is None:
            outcome = run_master(replace(errand, number=errand.number, dies=killed < kills))
            errand = replace(errand, number=errand.number + 1, run_id=outcome.run_id)
            if outcome.answer is None and not outcome.error:
                killed, outcome = killed + 1, None
        counters = {**outcome.counters, Fault.KILL_MASTER.counter: killed}
        return replace(outcome, counters=counters)

    def _cluster(self) -> str:
        return cluster_of(self.options.get("cluster") or self.step().options.cluster, os.environ)

    @staticmethod
    def _without_master(chaos: Chaos) -> Chaos | None:
        """Return what strikes inside a process; None for nothing."""
        others = tuple(spirit for spirit in chaos.spirits if spirit is not Fault.KILL_MASTER)
        return replace(chaos, spirits=others) if others else None
