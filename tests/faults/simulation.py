"""Layer A: a run of a simulated master and its successors, and the check of all entries.

Real: the master, the ledger, the aggregation, senders and receivers at both ends, stations, workers, resume and
replay. Simulated: the network, the disk, the clock, and the deaths.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from elastic.core.encoding import unpack
from elastic.core.errors import ElasticError
from elastic.core.ledger.ledger import Ledger
from elastic.core.ledger.resume_point import ResumePoint
from elastic.core.model.chunk_id_set import ChunkIdSet
from elastic.core.model.step import StepState
from elastic.core.policies.engine_tuning import EngineTuning
from elastic.core.program import Program
from elastic.engine.aggregation import Aggregation
from elastic.engine.chunker import Chunker
from elastic.engine.fingerprint.step_code import code_manifest
from elastic.engine.interceptor_dispatch import InterceptorDispatch
from elastic.engine.master import Master
from elastic.engine.placement import CheckedPlacement, placement_of
from elastic.engine.result import Result
from elastic.engine.step import Step
from elastic.engine.step_context import StepContext
from elastic.persistence.run_store.memory_store import MemoryRunStore
from elastic.recovery.resume import Resumption
from tests.faults.disk import KEY, RUN_ID, Disk, SimulatedRunStore
from tests.faults.fault_rng import Crash, SimulatedClock, Weather
from tests.faults.network import Network
from tests.faults.sample_flows import Story, difference

#: Seconds on the simulated clock after which a run counts as endless.
_PATIENCE = 50_000
_MOST_MASTERS = 60


@dataclass(frozen=True)
class Parts:
    """Parts of a simulation; a mutant replaces one of them."""

    ledger: type[Ledger] = Ledger
    master: type[Master] = Master
    store: type[SimulatedRunStore] = SimulatedRunStore
    kept: type[MemoryRunStore] = MemoryRunStore


@dataclass
class Outcome:
    """Outcome of a run."""

    seed: int
    story: Story
    faults: Counter[str]
    counters: Counter[str]
    masters: int
    chunks: int = 0
    letters: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


class EndlessError(Exception):
    """The run does not end."""


class SimulatedRun:
    """Replaces `elastic.engine.run.FlowRun`, with simulated parts."""

    def __init__(self, world: "World", store: SimulatedRunStore) -> None:
        self.run_id, self.clock, self.store = RUN_ID, world.clock, store
        self._world = world

    def master(
        self,
        number: int,
        step: Step,
        *,
        resume_point: ResumePoint | None = None,
        chunker: Chunker | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Master:
        world, options = self._world, step.options
        resume_point = resume_point or ResumePoint()
        chunker = chunker or Chunker(step.source, self.clock)
        program = Program(
            step.source.reader(), step.transforms, step.aggregator, options.error_policy, KEY, RUN_ID, number
        )
        placement = CheckedPlacement(placement_of(world.placement))
        network = world.network(f"m{self.store.epoch}")
        manifest = {**step.manifest(), **code_manifest(step)}
        ledger = world.parts.ledger(
            tuning=world.tuning,
            placement=placement,
            error_policy=options.error_policy,
            ordered=step.aggregator.ordered,
            resume_point=resume_point,
        )
        world.ledgers.append((ledger, Counter(resume_point.counters)))
        aggregation = SimulatedAggregation(program.aggregator, program.run_id)
        aggregation.restore(resume_point.states)
        return world.parts.master(
            StepContext(
                name="simulated",
                source=step.source,
                program=program,
                tuning=world.tuning,
                placement=placement,
                clock=self.clock,
                manifest={**manifest, "node": network.node_id},
                aggregation=aggregation,
            ),
            chunker=chunker,
            ledger=ledger,
            transport=network,
            store=self.store,
            interceptors=InterceptorDispatch((), program.signer, network.node_id, done=len(resume_point.folded)),
        )


class SimulatedAggregation(Aggregation):
    """An aggregation whose merges take the same time on each machine, because the master plans by it."""

    def merged(self, *, block: bool = False) -> Iterator[tuple[Any, Any]]:
        for partial, stats in super().merged(block=block):
            yield partial, replace(stats, seconds=1e-4)


class World:
    """State of the simulation of one seed."""

    def __init__(self, seed: int, parts: Parts, rate: float | None) -> None:
        self.seed, self.parts = seed, parts
        self.weather = Weather(seed, 0.0)
        rng = self.weather.rng
        self.weather.rate = rng.choice([0.1, 0.3, 0.6, 1.0]) if rate is None else rate
        self.clock, self.disk = SimulatedClock(), Disk(parts.kept)
        self.story = Story.of(rng)
        self.placement = rng.choice(["round_robin", "least_open_receipts"])
        self.tuning = EngineTuning(
            max_chunks_per_call=rng.choice([1, 4, 32]),
            max_chunks_in_flight=rng.choice([8, 64, 65_536]),
            collect_interval=rng.choice([0.2, 2.0]),
            commit_interval=rng.choice([1e-9, 0.05, 1.0]),
            speculation_timeout=rng.choice([1.0, 10.0]),
            max_worker_losses=1_000_000,
        )
        self.ledgers: list[tuple[Ledger, Counter[str]]] = []
        self.problems: list[str] = []
        self._depth = 0

    def network(self, name: str) -> "PatientNetwork":
        return PatientNetwork(self.weather, self.clock, name)

    def play(self) -> None:
        """Run master after master until one says that the step is complete."""
        while not self._is_complete():
            self.weather.masters += 1
            if self.weather.masters > _MOST_MASTERS:
                raise EndlessError(f"{_MOST_MASTERS} masters did not bring it to its end")
            self.weather.fatal.clear()
            self._one_master()

    def _one_master(self) -> None:
        store = self.parts.store(self.disk, self.weather, self._replace_master)
        run, step = SimulatedRun(self, store), self.story.step()
        try:
            result = self._master(run, step).run()
        except Crash:
            store.is_dead = True
            self.disk.fail(self.weather)
            return
        if result.error is not None and not self.weather.fatal:
            raise result.error
        if result.error is None:
            self._check_answer(result)

    def _master(self, run: SimulatedRun, step: Step) -> Master:
        if not self.disk.run.steps():
            return run.master(0, step)
        reread = self.story.is_one_shot
        return Resumption.of(run, 0, step, reread_source=reread).master  # type: ignore[arg-type]

    def _replace_master(self) -> None:
        """Let a newer master take over while the calling one is frozen."""
        if self._depth:
            return
        self._depth += 1
        fatal, self.weather.fatal = self.weather.fatal, []
        self.weather.masters += 1
        if self.weather.rng.random() < 0.5:
            self._one_master()
        else:
            self.play()
        self.weather.fatal = fatal
        self._depth -= 1

    # -- check

    def judge(self) -> list[str]:
        """Return the errors of the stored state after the end."""
        story, kept = self.story, self.disk.run
        [record] = kept.steps()
        aggregation = Aggregation(story.step().aggregator, RUN_ID)
        aggregation.restore(kept.partials(0))
        found = [*self.problems, *difference(story.answer(), aggregation.value())]
        rows = list(kept.receipts(0))
        spans = ChunkIdSet()
        for row in rows:
            if spans.overlaps(row.first, row.first + row.count):
                found.append(f"the receipts of chunk {row.first} are kept twice")
            else:
                spans.add(row.first, row.first + row.count)
        if spans.above or spans.low != record.low or record.bitmap.strip(b"\0"):
            found.append(f"receipts cover chunks up to {spans.low}, the record says {record.low}")
        entries = sum(sum(row.columns.entries) for row in rows)
        if {entries, record.counters.get("entries", 0)} != {story.count}:
            found.append(f"{entries} entries have receipts, {record.counters.get('entries', 0)} counted")
        if self.disk.writers != sorted(self.disk.writers):
            found.append("a master that was replaced wrote to the run")
        found += self._judge_letters(record.counters, sum(sum(row.failed) for row in rows))
        if story.is_one_shot and list(self.disk.chunks.unfinished()) and not self.weather.faults["deleted chunk back"]:
            found.append(f"payloads of chunks {list(self.disk.chunks.unfinished())[:5]} are left")
        return found

    def _judge_letters(self, counters: Mapping[str, int], failed: int) -> list[str]:
        expected = sorted(self.story.failing())
        letters = sorted(unpack(letter.entry) for letter in self.disk.run.dead_letters(0))
        found = [] if letters == expected else [f"{len(letters)} dead letters, expected {len(expected)}"]
        if {failed, counters.get("entries_failed", 0)} != {len(expected)}:
            found.append(f"{counters.get('entries_failed', 0)} entries counted as failed, expected {len(expected)}")
        return found

    def _check_answer(self, result: Result) -> None:
        self.problems += difference(self.story.answer(), result.value)
        if result.entries != self.story.count:
            self.problems.append(f"the result counts {result.entries} entries of {self.story.count}")
        stages = set(result.receipts.values())
        if len(stages) > 1:
            self.problems.append(f"receipts differ between stages: {result.receipts}")

    def _is_complete(self) -> bool:
        return any(StepState(record.state).is_complete for record in self.disk.run.steps())

    def outcome(self, problems: list[str]) -> Outcome:
        counters: Counter[str] = Counter()
        for ledger, start in self.ledgers:
            counters += Counter(ledger.counters) - start
        steps = self.disk.run.steps()
        return Outcome(
            seed=self.seed,
            story=self.story,
            faults=self.weather.faults,
            counters=counters,
            masters=self.weather.masters,
            chunks=steps[0].low if steps else 0,
            letters=len(list(self.disk.run.dead_letters(0))) if steps else 0,
            seconds=self.clock.seconds,
            problems=problems,
        )


class PatientNetwork(Network):
    """A network that detects an endless run."""

    polls = 0

    def poll(self, timeout: float) -> list[Any]:
        self.polls += 1
        if self._clock.seconds > _PATIENCE or self.polls > 100_000:
            raise EndlessError(f"nothing more happens after {self._clock.seconds:.0f} simulated seconds")
        return super().poll(timeout)


def play(seed: int, parts: Parts = Parts(), rate: float | None = None) -> Outcome:
    """Simulate the run of a seed to its end, and check it."""
    world = World(seed, parts, rate)
    logger = logging.getLogger("elastic.master")
    before, logger.disabled = logger.disabled, True
    try:
        world.play()
        problems = world.judge()
    except EndlessError as error:
        problems = [f"never ends: {error}"]
    except (ElasticError, Exception) as error:
        problems = [*world.problems, f"{type(error).__name__}: {error}"]
    finally:
        logger.disabled = before
    return world.outcome(problems)
