"""`elastic runs`: list flow runs, show their results, and delete old ones."""

import datetime as dt
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elastic.cli.flows.flow_of_run import RunName, StepNumber, Target, step_of_run
from elastic.cli.printing.listing import Yes, confirm
from elastic.cli.printing.output import Output, OutputFormat, print_facts, print_json, print_table, say
from elastic.cli.printing.run_result import print_result

if TYPE_CHECKING:
    from elastic.core.contracts.store import StepRecord
    from elastic.persistence.stored_run import StoredRun
    from elastic.run_history import RunHistory

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List, show and delete flow runs.")


#: Facts shown only in JSON.
_FOR_PROGRAMS = ("run_id", "code", "resumed")

#: Names of facts in the text form, where the facts of the run precede those of its steps.
_SHOWN_NAMES = {"folder": "started_in"}


@app.callback()
def runs() -> None:
    """List, show and delete flow runs."""


@app.command("list", epilog="For example: elastic runs list -o json")
def list_runs(
    limit: Annotated[int, typer.Option(min=1, help="Number of runs to list, newest first.")] = 20,
    output: Output = OutputFormat.TABLE,
) -> None:
    """List runs, newest first, with the bytes that they take."""
    from elastic.persistence.stored_run import bytes_in
    from elastic.run_history import RunHistory

    history = RunHistory.of_environment()
    listed = history.runs()
    rows = [row for run_id in listed[:limit] for row in _rows(history, run_id)]
    if output is OutputFormat.JSON:
        print_json(rows)
    elif rows:
        shown = ["run_id", "step", "name", "state", "seconds", "chunks", "entries", "bytes"]
        print_table(shown, [[_cell(row, column) for column in shown] for row in rows], numbers=shown[4:])
        total = sum(bytes_in(str(history.run_folder(run_id))) for run_id in listed)
        say(f"{len(listed):,} run{'s' * (len(listed) != 1)} in {history.folder}: {total:,} bytes")
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
        shown = {_SHOWN_NAMES.get(name, name): value for name, value in facts.items() if name not in _FOR_PROGRAMS}
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


@app.command("prune", epilog="For example: elastic runs prune --keep 30d --keep-last 20 --dry-run")
def prune(
    keep: Annotated[str | None, typer.Option(help="Age below which a run stays, such as 12h, 30d or 8w.")] = None,
    keep_last: Annotated[int | None, typer.Option(min=0, help="Number of newest runs that stay.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    yes: Yes = False,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Delete old complete runs with all their files.

    Runs that can be resumed, that a process works on, or that hold dead letters stay.
    """
    from elastic.run_history import prune_runs

    if not (dry_run or yes):
        planned = prune_runs(keep=keep, keep_last=keep_last, dry_run=True)
        if planned.deleted:
            many = "run" if len(planned.deleted) == 1 else "runs"
            confirm(f"Delete {len(planned.deleted):,} {many}, {planned.bytes:,} bytes?", yes=yes)
    pruned = prune_runs(keep=keep, keep_last=keep_last, dry_run=dry_run)
    rows = [{**_stored(run), "stays": None} for run in pruned.deleted]
    rows += [{**_stored(one.run), "stays": one.reason} for one in pruned.kept]
    if output is OutputFormat.JSON:
        print_json({"dry_run": dry_run, "bytes": pruned.bytes, "leftover_bytes": pruned.leftover_bytes, "runs": rows})
        return
    if rows:
        shown = ["run_id", "name", "state", "ended_at", "bytes", "stays"]
        print_table(
            shown, [["" if row[column] is None else row[column] for column in shown] for row in rows], numbers=["bytes"]
        )
    say(str(pruned))


@app.command("delete", epilog="For example: elastic runs delete 20261120-231512 --force")
def delete(
    names: Annotated[list[str], typer.Argument(metavar="RUN...", help="Run ids, unique prefixes of them, or `last`.")],
    force: Annotated[
        bool, typer.Option("--force", help="Also delete runs that can be resumed, or that hold dead letters.")
    ] = False,
    yes: Yes = False,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Delete runs with all their files."""
    from elastic.run_history import RunHistory, delete_runs

    history = RunHistory.of_environment()
    run_ids = [history.find(name) for name in names]
    confirm(f"Delete {', '.join(dict.fromkeys(run_ids))}?", yes=yes)
    deleted = delete_runs(*run_ids, force=force)
    if output is OutputFormat.JSON:
        print_json([_stored(run) for run in deleted])
        return
    for run in deleted:
        say(f"deleted {run}")


def _stored(run: "StoredRun") -> dict[str, Any]:
    """Return a summary of a run as plain data."""
    facts = asdict(run)
    return {
        name: value.isoformat(timespec="seconds") if isinstance(value, dt.datetime) else value
        for name, value in facts.items()
    }


def _rows(history: "RunHistory", run_id: str) -> list[dict[str, Any]]:
    from elastic.core.errors import StoreError
    from elastic.persistence.stored_run import bytes_in

    size = {"bytes": bytes_in(str(history.run_folder(run_id)))}
    try:
        return [{**_facts(run_id, record), **size} for record in history.steps(run_id)]
    except StoreError as error:
        # One run that cannot be read must not hide the others.
        return [{"run_id": run_id, "state": "unreadable", "error": str(error), **size}]


def _cell(row: dict[str, Any], column: str) -> Any:
    """Return a cell of the list; the bytes are those of the run, so its first step has them."""
    return "" if column == "bytes" and row.get("step") else row.get(column)


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
