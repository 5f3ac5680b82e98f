"""Chaos rounds: run a flow without faults, then with faults, and compare the results."""

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

#: Maximum number of masters that a round kills, one after another.
_MAX_MASTER_KILLS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosRound:
    """Result of one round: the injected faults, and how the run differs from the clean one."""

    seed: int
    run_id: str
    #: number of injections per fault, without zeros
    strikes: dict[str, int]
    retries: int
    duplicates_dropped: int
    receipts_refused: int
    seconds: float
    #: names of the fields that differ from the clean run; empty if none does
    difference: str

    @property
    def struck(self) -> int:
        """Number of injected faults; a round with 0 proves nothing."""
        return sum(self.strikes.values())

    @property
    def verdict(self) -> str:
        """`same` or `DIFFERENT`, with the reason in parentheses."""
        if self.difference:
            return f"DIFFERENT ({self.difference})"
        return "same" if self.struck else "same (nothing struck)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosTest:
    """Test that runs a flow repeatedly under injected faults.

    Raises:
        UsageError: The cluster does not support a fault.
    """

    #: returns a new step for each run, because some sources can be read only once
    step: Callable[[], Step]
    chaos: Chaos
    #: target at which another process finds the flow; required for `kill-master`
    target: str | None = None
    options: GivenOptions = field(default_factory=GivenOptions)

    def __post_init__(self) -> None:
        others = self._without_master(self.chaos)
        if others is not None:
            check_chaos(others, self._cluster())
        if others != self.chaos and self.target is None:
            raise UsageError("fault kill-master needs the flow's target, because the master runs in another process.")

    def clean(self) -> ResultDigest:
        """Run the flow without faults.

        Raises:
            ElasticError: The run fails.
        """
        run = self._run(None)
        if run.answer is None:
            raise ElasticError(f"the flow fails without any fault: {run.error}")
        return run.answer

    def rounds(self, clean: ResultDigest, count: int) -> Iterator[ChaosRound]:
        """Yield rounds with consecutive seeds, from that of the chaos; each is compared with the clean run."""
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
            difference=f"no result: {outcome.error}" if answer is None else clean.difference(answer),
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
        """Run the flow in a sequence of processes, and kill all but the last."""
        others = self._without_master(chaos)
        kills = random.Random(f"{chaos.seed} masters").randint(1, _MAX_MASTER_KILLS)  # noqa: S311 - no secret
        job = MasterJob(
            target=str(self.target),
            # Each master meets these faults, so one of the slow kind is enough.
            chaos=others and replace(others, most=min(others.most, 1)),
            seed=chaos.seed,
            chunks=clean.chunks,
            options={**self.options, "cluster": address_of(self._cluster())},
        )
        killed, outcome = 0, None
        while outcome is None:
            outcome = run_master(replace(job, number=job.number, is_killed=killed < kills))
            job = replace(job, number=job.number + 1, run_id=outcome.run_id)
            if outcome.answer is None and not outcome.error:
                killed, outcome = killed + 1, None
        counters = {**outcome.counters, Fault.KILL_MASTER.counter: killed}
        return replace(outcome, counters=counters)

    def _cluster(self) -> str:
        return cluster_of(self.options.get("cluster") or self.step().options.cluster, os.environ)

    @staticmethod
    def _without_master(chaos: Chaos) -> Chaos | None:
        """Return the faults that a process injects itself; None if there are none."""
        others = tuple(spirit for spirit in chaos.spirits if spirit is not Fault.KILL_MASTER)
        return replace(chaos, spirits=others) if others else None
