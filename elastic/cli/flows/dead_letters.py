"""`elastic dead-letters`: list, show and redrive failed entries."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from elastic.cli.flows.flow_of_run import Cluster, RunName, StepNumber, Target, Workers, options_of, step_of_run
from elastic.cli.printing.output import Output, OutputFormat, print_facts, print_json, print_table, say
from elastic.cli.printing.run_result import jsonable, print_result

if TYPE_CHECKING:
    from elastic.core.model.failure import DeadLetter

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List, show and redrive failed entries.")

#: Maximum number of characters of a table cell.
_MAX_SHOWN = 80


@app.callback()
def dead_letter_commands() -> None:
    """List, show and redrive failed entries."""


@app.command("list", epilog="For example: elastic dead-letters list last -o json")
def list_letters(run: RunName = "last", step: StepNumber = 0, output: Output = OutputFormat.TABLE) -> None:
    """List the failed entries of a run that were not redriven."""
    facts = [_facts(letter) for letter in _letters(run, step)]
    if output is OutputFormat.JSON:
        print_json(facts)
    elif facts:
        shown = ["chunk", "index", "place", "error", "attempts"]
        rows = [[_short(fact[column]) for column in shown] for fact in facts]
        print_table(shown, rows, numbers=["attempts"], ids=["chunk", "index"])
    else:
        say("no dead letters")


@app.command("show", epilog="For example: elastic dead-letters show last --chunk 3 --index 17")
def show(
    run: RunName = "last",
    step: StepNumber = 0,
    chunk: Annotated[int | None, typer.Option(min=0, help="Only entries of this chunk.")] = None,
    index: Annotated[int | None, typer.Option(min=0, help="Only the entry with this index in its chunk.")] = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Show failed entries in full: entry, place, traceback, node, receipt."""
    from elastic.core.errors import UsageError

    wanted = [
        letter
        for letter in _letters(run, step)
        if chunk in (None, letter.failure.chunk_id) and index in (None, letter.failure.index)
    ]
    if not wanted and (chunk, index) != (None, None):
        raise UsageError(f"run {run} has no such dead letter; `elastic dead-letters list {run}` shows all of them.")
    facts = [{**_facts(letter), "entry": jsonable(_entry(letter)), **_origin(letter)} for letter in wanted]
    if output is OutputFormat.JSON:
        print_json(facts)
        return
    for fact in facts:
        traceback = fact.pop("traceback")
        print_facts(fact)
        say(f"{traceback}\n")


@app.command("redrive", epilog="For example: elastic dead-letters redrive last repaired.py:flow")
def redrive(
    run: RunName = "last",
    target: Target = None,
    step: StepNumber = 0,
    cluster: Cluster = None,
    workers: Workers = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Run the failed entries through the repaired flow, add them to the stored result, and print it.

    Entries that fail again stay dead letters.
    """
    from elastic.recovery.redrive import redrive as redrive_run
    from elastic.run_history import RunHistory

    history = RunHistory.of_environment()
    run_id = history.find(run)
    found = step_of_run(run_id, history.record(run_id, step), target)
    given = found.with_options(home=history.folder)
    before = len(history.dead_letters(run_id, step))
    result = redrive_run(run_id, given, step_number=step, **options_of(cluster, workers))
    left = len(history.dead_letters(run_id, step))
    # Nothing ran, so the duration in the text form of the result would be that of the run.
    nothing = None if before else f"run {run_id} has no dead letters, so its result is unchanged"
    print_result(result, given, output, summary=nothing, dead_letters=left)
    if output is OutputFormat.TABLE and before:
        say(f"dead letters: {before:,} tried again, {left:,} left")


def _letters(run: str, step: int) -> "list[DeadLetter]":
    from elastic.run_history import RunHistory

    history = RunHistory.of_environment()
    return history.dead_letters(history.find(run), step)


def _facts(letter: "DeadLetter") -> dict[str, Any]:
    failure = letter.failure
    error = f"{failure.error_type}: {failure.message}" if failure.message else failure.error_type
    return {
        "chunk": failure.chunk_id,
        "index": failure.index,
        "place": failure.place,
        "function": failure.function,
        "error": error,
        "entries": letter.entries,
        "attempts": letter.attempts,
    }


def _origin(letter: "DeadLetter") -> dict[str, Any]:
    failure = letter.failure
    return {
        "node": failure.node_id,
        "worker": failure.worker_id,
        "receipt": letter.receipt,
        "traceback": failure.traceback,
    }


def _entry(letter: "DeadLetter") -> Any:
    from elastic.core.encoding import unpack

    return unpack(letter.entry)


def _short(value: Any) -> Any:
    return value[: _MAX_SHOWN - 3] + "..." if isinstance(value, str) and len(value) > _MAX_SHOWN else value
