"""`elastic verify`: prove from the stored data of a run that its result contains every chunk once."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from elastic.cli.flows.flow_of_run import RunName, Target, step_of_run
from elastic.cli.printing.output import Output, OutputFormat, print_json, say

if TYPE_CHECKING:
    from elastic.verification.verify import Verification

EXAMPLE = "For example: elastic verify last --recompute 1%"


def verify(
    run: RunName = "last",
    target: Target = None,
    step: Annotated[int | None, typer.Option(min=0, help="Number of the step; default: all steps.")] = None,
    recompute: Annotated[
        str, typer.Option(metavar="SHARE", help="Read this share of the chunks again from the source, such as 1%.")
    ] = "0%",
    root: Annotated[
        str | None, typer.Option(metavar="ROOT", help="Root hash that the run printed, to compare.")
    ] = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Check the receipts, counts, partial results and dead letters of a run, and name every wrong chunk.

    The exit code is 0 if the run is proved correct, else 1 with one line per finding.
    """
    from elastic.run_history import RunHistory
    from elastic.verification.verify import verify as verify_run

    history, share = RunHistory.of_environment(), _share(recompute)
    run_id = history.find(run)
    given = step_of_run(run_id, history.record(run_id, step or 0), target) if share or target else None
    # With several steps the flow is that of one of them.
    number = (step or 0) if share else step
    verification = verify_run(run_id, given, step_number=number, recompute=share, root=root, home=str(history.folder))
    _print(verification, output)
    if not verification.ok:
        raise typer.Exit(1)


def _print(verification: "Verification", output: OutputFormat) -> None:
    if output is OutputFormat.JSON:
        print_json({"ok": verification.ok, **asdict(verification)})
        return
    say(str(verification))
    for step in verification.steps:
        for note in step.notes:
            say(f"step {step.step}: {note}", err=True)


def _share(text: str) -> float:
    """Return the share in a string such as `1%` or `0.01`."""
    from elastic.core.errors import UsageError

    number, percent = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(f"--recompute {text} is not a share; write a percentage such as 1%, or a number from 0 to 1.")
    return share
