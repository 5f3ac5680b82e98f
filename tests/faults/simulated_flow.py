"""Layer B: small flows with real files and their answers, for masters that are killed or lose power."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import elastic
from elastic.aggregators import Collect, Count, Sum
from elastic.core.errors import ElasticError
from elastic.engine import master
from elastic.engine.run import FlowRun, home_at, run
from elastic.recovery.resume import Resumption, unfinished_step
from elastic.run_history import RunHistory

ENTRIES = 60

#: Options for one call and one commit per chunk, so that there are as many moments as possible.
QUICK: dict[str, Any] = {
    "cluster": "inline",
    "commit_interval": 1e-9,
    "collect_interval": 1e-9,
    "target_call_seconds": 1e-9,
    "max_chunks_in_flight": 3,
}

#: Error of a run whose master ended before it promised anything.
_NOT_BEGUN = ("stopped while it was created", "ended before its first step", "no run")


def double(number: int) -> int:
    return 2 * number


def fragile(number: int) -> int:
    if number % 20 == 7:
        raise ValueError(f"bad {number}")
    return number


def _text(folder: Path) -> str:
    """Return the path of the source, which is on another disk than the run."""
    path = folder.parent / "words.txt"
    if not path.exists():
        path.write_text("".join(f"word{n} {n % 7}\n" for n in range(ENTRIES)))
    return str(path)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario: a flow, and the answers over its first entries."""

    flow: Callable[[Path], elastic.Flow]
    #: the answer over the first `count` entries
    answer: Callable[[int], Any]
    #: True if the source can be read once, by the first master only
    is_gone: bool = False
    #: True if the source can be read once, and each resuming master gets the same entries again
    rereads: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    letters: tuple[str, ...] = ()

    def step(self, folder: Path, *, later: bool = False) -> elastic.Step:
        """Return the step; a later master of a consumed source gets an empty one."""
        flow = elastic.from_iterable(iter(()), chunk_size=6).map(double).aggregate(Sum()) if later else None
        return (flow or self.flow(folder)).step(**QUICK, **self.options, home=folder / "home")


def _once(_: Path) -> elastic.Flow:
    return elastic.from_iterable(iter(range(ENTRIES)), chunk_size=6).map(double).aggregate(Sum())


def _doubled(count: int) -> int:
    return sum(2 * n for n in range(count))


SCENARIOS: dict[str, Scenario] = {
    "range": Scenario(lambda _: elastic.from_range(ENTRIES, chunk_size=6).map(double).aggregate(Sum()), _doubled),
    "text": Scenario(
        lambda folder: elastic.read_text(_text(folder), chunk_bytes=45).flat_map(str.split).aggregate(Count()),
        lambda count: dict(Counter(word for n in range(count) for word in (f"word{n}", str(n % 7)))),
    ),
    "once": Scenario(_once, _doubled, rereads=True),
    "gone": Scenario(_once, _doubled, is_gone=True),
    "directory": Scenario(_once, _doubled, is_gone=True, options={"chunk_store": "directory"}),
    "ordered": Scenario(
        lambda _: elastic.from_iterable(list(range(ENTRIES)), chunk_size=6).map(double).aggregate(Collect()),
        lambda count: [2 * n for n in range(count)],
    ),
    "letters": Scenario(
        lambda _: elastic.from_range(ENTRIES, chunk_size=6).map(fragile).aggregate(Sum()),
        lambda count: sum(n for n in range(count) if n % 20 != 7),
        options={"on_error": "dead-letter"},
        letters=tuple(f"number {n}" for n in range(7, ENTRIES, 20)),
    ),
}


@dataclass(slots=True)
class End:
    """Outcome of a resumed run."""

    #: True if the first master ended before it promised anything
    not_begun: bool = False
    seconds: float = 0.0
    #: chunks that ran again
    again: int = 0
    entries: int = 0
    low: int = 0
    problems: list[str] = field(default_factory=list)


@contextmanager
def patched(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Replace an attribute for the time of the block."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _often() -> AbstractContextManager[None]:
    """Let masters commit after every fold, whatever the duration of a commit."""
    return patched(master, "_COMMIT_PAUSE_RATIO", 0)


def begin(name: str, folder: Path) -> None:
    """Run a scenario from its start."""
    with _often():
        run(SCENARIOS[name].step(folder))


def go_on(name: str, folder: Path) -> tuple[elastic.Result, int]:
    """Resume the run in a folder; return its result and the number of chunks that ran again."""
    scenario = SCENARIOS[name]
    again = FlowRun.open(folder / "home", "last")
    try:
        number = unfinished_step(again.run_id, again.store.steps(), None)
        step = scenario.step(folder, later=scenario.is_gone)
        resumption = Resumption.of(again, number, step, reread_source=scenario.rereads)
        with _often():
            return resumption.run(), resumption.again
    finally:
        again.close()


def finish(name: str, folder: Path) -> End:
    """Resume the run in a folder as a user would, and check the outcome."""
    scenario, end, began = SCENARIOS[name], End(), time.perf_counter()
    error: Exception | None = None
    try:
        result, end.again = go_on(name, folder)
        error = result.error
    except ElasticError as refused:
        if any(text in str(refused) for text in _NOT_BEGUN):
            end.not_begun = True
            return end
        error = refused
    end.seconds = time.perf_counter() - began
    if error is not None and not _is_expected(scenario, error):
        end.problems.append(f"{type(error).__name__}: {error}")
    try:
        end.problems += _judge(scenario, folder, end)
    except ElasticError as damage:
        end.problems.append(f"{type(damage).__name__}: {damage}")
    return end


def _is_expected(scenario: Scenario, error: Exception) -> bool:
    """Return whether an error is expected: the run is complete, or a consumed source had more entries."""
    return "is complete" in str(error) or (scenario.is_gone and "all stored chunks of run" in str(error))


def _judge(scenario: Scenario, folder: Path, end: End) -> list[str]:
    """Return the errors of the stored state; set how far it goes."""
    history = RunHistory(home_at(folder / "home"))
    run_id = history.find("last")
    kept = history.result(run_id, 0, scenario.step(folder).aggregator)
    end.entries, end.low = kept.entries, history.record(run_id, 0).low
    found = []
    if kept.value != scenario.answer(kept.entries):
        found.append(f"the answer over {kept.entries} entries is {kept.value!r}")
    if kept.entries != ENTRIES and not scenario.is_gone:
        found.append(f"{kept.entries} of {ENTRIES} entries are counted")
    if set(kept.receipts.values()) != {kept.chunks}:
        found.append(f"{kept.chunks} chunks have receipts {kept.receipts}")
    chunks = [receipts[0].chunk_id for receipts in history.receipts(run_id, 0)]
    if chunks != list(range(kept.chunks)):
        found.append(f"the receipts are of chunks {chunks}")
    letters = tuple(letter.failure.place for letter in history.dead_letters(run_id, 0))
    if letters != scenario.letters:
        found.append(f"dead letters are {letters}")
    left = [path.name for path in folder.glob("home/runs/*/chunks/*/*")]
    if left and kept.error is None:
        found.append(f"{left} are left")
    return found
