"""`elastic chaos`: run a flow under injected faults and compare its results with a clean run."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elastic.cli.flows.flow_of_run import Cluster, Workers
from elastic.cli.printing.output import Output, OutputFormat, print_json, print_table, say

if TYPE_CHECKING:
    from elastic.chaos.rounds import ChaosRound

EXAMPLE = "For example: elastic chaos word_count.py:words --rounds 3 --spirits drop,corrupt,kill-worker"

_NUMBERS = ("retries", "duplicates", "refused", "seconds")

Spirits = Annotated[
    str | None,
    typer.Option(
        help="Faults: raise, hang, kill-worker, kill-sender, kill-receiver, kill-node, kill-master, drop, duplicate, "
        "slow, corrupt; or `all` that the cluster supports. Default: those that end no process."
    ),
]


def chaos(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="module:attr or file.py:attr of a Flow or Step.")],
    rounds: Annotated[int, typer.Option(min=1, help="Number of runs with faults.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first round; each round adds 1.")] = 0,
    spirits: Spirits = None,
    rate: Annotated[float, typer.Option(min=0, max=1, help="Probability of a fault at each opportunity.")] = 0.1,
    cluster: Cluster = None,
    workers: Workers = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Run a flow under injected faults and compare its results with a clean run; exit with 1 if one differs.

    A flow with randomized functions differs without faults as well.
    """
    import os

    from elastic.chaos.rounds import ChaosTest
    from elastic.core.policies.chaos import CARRIED, Chaos, spirits_of
    from elastic.engine.cluster import cluster_of, faults_on
    from elastic.engine.options import GivenOptions
    from elastic.flow.loader import step_at

    # Ray prints long messages about every dead process to standard output.
    os.environ.setdefault("RAY_LOG_TO_DRIVER", "0")
    options = GivenOptions(cluster=cluster)
    if workers is not None:
        options["workers"] = workers
    if spirits == "all":
        chosen = faults_on(cluster_of(cluster or step_at(target).options.cluster, os.environ))
    else:
        chosen = CARRIED if spirits is None else spirits_of(spirits)
    trial = ChaosTest(
        step=partial(step_at, target),
        chaos=Chaos(spirits=chosen, seed=seed, rate=rate),
        target=target,
        options=options,
    )
    _report("clean run")
    clean = trial.clean()
    played = []
    for played_round in trial.rounds(clean, rounds):
        played.append(played_round)
        _report(f"round {len(played)} of {rounds}: {played_round.verdict}")
    _print(played, clean.value, output)
    if any(played_round.difference for played_round in played):
        raise typer.Exit(1)


def _report(text: str) -> None:
    if sys.stderr.isatty():
        say(text, err=True)


def _print(rounds: "Sequence[ChaosRound]", digest: str, output: OutputFormat) -> None:
    different = sum(bool(played.difference) for played in rounds)
    if output is OutputFormat.JSON:
        rows = [{**asdict(played), "verdict": played.verdict} for played in rounds]
        print_json({"digest": digest, "different": different, "rounds": rows})
        return
    columns = ["seed", "spirits that struck", "retries", "duplicates", "refused", "seconds", "verdict"]
    print_table(columns, map(_row, rounds), numbers=_NUMBERS, ids=["seed"])
    say(_sentence(rounds, different))


def _row(played: "ChaosRound") -> Sequence[Any]:
    struck = ", ".join(f"{spirit} {count}" for spirit, count in played.strikes.items())
    facts = (played.retries, played.duplicates_dropped, played.receipts_refused)
    return (played.seed, struck or "none", *facts, f"{played.seconds:.1f}", played.verdict)


def _sentence(rounds: "Sequence[ChaosRound]", different: int) -> str:
    if different:
        return f"{different} of {len(rounds)} answers are DIFFERENT; `elastic chaos` with the same seed tries it again."
    struck, idle = sum(played.struck for played in rounds), sum(not played.struck for played in rounds)
    if not struck:
        return "nothing struck, so this proves nothing; take a higher --rate, more --rounds or a longer flow."
    besides = f"; in {idle} of them nothing struck, which proves nothing" if idle else ""
    return f"{len(rounds)} rounds, {struck:,} strikes, every answer the same{besides}."
