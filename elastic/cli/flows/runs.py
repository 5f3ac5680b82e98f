"""`elastic runs`: list flow runs and show their results."""

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elastic.cli.flows.flow_of_run import RunName, StepNumber, Target, step_of_run
from elastic.cli.printing.output import Output, OutputFormat, print_facts, print_json, print_table, say
from elastic.cli.printing.run_result import print_result

if TYPE_CHECKING:
    from elastic.core.contracts.store import StepRecord
    from elastic.run_history import RunHistory

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List flow runs and show their results.")


#: Facts shown only in JSON.
_FOR_PROGRAMS = ("run_id", "code", "resumed")


@app.callback()
def runs() -> None:
    """List flow runs and show their results."""


@app.command("list", epilog="For example: elastic runs list -o json")
def list_runs(
    limit: Annotated[int, typer.Option(min=1, help="Number of runs to list, newest first.")] = 20,
    output: Output = OutputFormat.TABLE,
) -> None:
    """List runs, newest first."""
    from elastic.run_history import RunHistory

    history = RunHistory.of_environment()
    rows = [row for run_id in history.runs()[:limit] for row in _rows(history, run_id)]
    if output is OutputFormat.JSON:
        print_json(rows)
    elif rows:
        shown = ["run_id", "step", "name", "state", "seconds", "chunks", "entries"]
        print_table(shown, [[row.get(column) for column in shown] for row in rows], numbers=shown[4:])
    else:
        say(f"no runs in {history.folder}; try: elastic example word-count")


@app.command("show", epilog="For example: elastic runs show last")
def show(run: RunName = "last", output: Output = OutputFormat.TABLE) -> None:
    """Show all stored facts of a run."""
    from elastic.run_history import RunHistory

    history = RunHistory.of_environment()
    run_id = history.find(run)
    steps = [
        {
            **_facts(run_id, record),
            **record.manifest,
            "counters": record.counters,
            "resumed": [_masters(manifest) for manifest in record.resumed],
        }
        for record in history.steps(run_id)
    ]
    if output is OutputFormat.JSON:
        print_json({"run_id": run_id, "folder": str(history.run_folder(run_id)), "steps": steps})
        return
    print_facts({"run_id": run_id, "folder": history.run_folder(run_id)})
    for facts in steps:
        say()
        shown = {name: value for name, value in facts.items() if name not in _FOR_PROGRAMS}
        print_facts(shown, amounts=("chunks", "entries", "counters"))


@app.command("value", epilog="For example: elastic runs value last -o json")
def value(
    run: RunName = "last", target: Target = None, step: StepNumber = 0, output: Output = OutputFormat.TABLE
) -> None:
    """Print the stored result of a run, or its result so far, without running anything."""
    from elastic.recovery.redrive import result_of
    from elastic.run_history import RunHistory

    history = RunHistory.of_environment()
    run_id = history.find(run)
    found = step_of_run(run_id, history.record(run_id, step), target)
    print_result(result_of(run_id, found, step_number=step, home=str(history.folder)), found, output)


def _rows(history: "RunHistory", run_id: str) -> list[dict[str, Any]]:
    from elastic.core.errors import StoreError

    try:
        return [_facts(run_id, record) for record in history.steps(run_id)]
    except StoreError as error:
        # One run that cannot be read must not hide the others.
        return [{"run_id": run_id, "state": "unreadable", "error": str(error)}]


def _masters(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the facts that differ between the masters of a run."""
    return {name: manifest.get(name) for name in ("cluster", "node", "code", "python", "redriven") if name in manifest}


def _facts(run_id: str, record: "StepRecord") -> dict[str, Any]:
    return {
        "run_id": run_id,
        "step": record.step,
        "name": record.name,
        "state": record.state,
        "started_at": dt.datetime.fromtimestamp(record.started_at, dt.UTC).isoformat(timespec="seconds"),
        "seconds": None if record.seconds is None else round(record.seconds, 3),
        "chunks": record.counters.get("aggregated", 0),
        "entries": record.counters.get("entries", 0),
        "error": record.error,
    }
