"""`elastic dags`: the DAGs, their structure and their runs."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elastic.cli.dags.dag_options import DagId, Subdir, deployment_and_dag, say_what_waits
from elastic.cli.printing.listing import ListFormat, ListOutput, Yes, confirm, print_list
from elastic.cli.printing.output import print_facts, say
from elastic.core.errors import UsageError
from elastic.core.text import json_text

if TYPE_CHECKING:
    from elastic.dag.dag import DAG
    from elastic.db.stores.dags import DagRow

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List, show, test, pause, trigger and delete DAGs.")

_COLUMNS = ("dag_id", "schedule", "owner", "tasks", "paused", "file")
_RUN_COLUMNS = ("run_id", "logical_date", "timeperiod", "type", "state", "attempt", "started_at", "ended_at", "late")

OptionalDate = Annotated[str | None, typer.Argument(metavar="[DATE]", help="Logical date; default: the DAG's first.")]


class Drawing(StrEnum):
    """Language of a printed graph."""

    DOT = "dot"
    MERMAID = "mermaid"


@app.callback()
def dag_commands() -> None:
    """List, show, test, pause, trigger and delete DAGs."""


@app.command("list", epilog="For example: elastic dags list -o json")
def list_dags(subdir: Subdir = None, output: ListOutput = ListFormat.TABLE) -> None:
    """List the DAGs of the DAG folder, and the files that cannot be loaded."""
    from elastic.dag.files.dag_bag import DagBag
    from elastic.scheduler.catalog.dag_catalog import scan, warnings_at
    from elastic.scheduler.deployment import Deployment

    if subdir is not None:
        bag = DagBag(subdir)
        rows, failures = [_row_of(dag) for dag in bag], bag.import_errors
        warnings = {dag.dag_id: warnings_at(dag) for dag in bag}
    else:
        inventory = scan(Deployment.of())
        rows, failures = [_row(row) for row in inventory.dags], dict(inventory.failures)
        warnings = {dag_id: list(found) for dag_id, found in inventory.warnings.items()}
    print_list(_COLUMNS, sorted(rows, key=lambda row: str(row["dag_id"])), output, empty="no DAGs", numbers=("tasks",))
    for dag_id in sorted(warnings):
        for warning in warnings[dag_id]:
            typer.echo(f"warning: DAG {dag_id!r}: {warning}", err=True)
    for failure in failures.values():
        say(f"cannot be loaded: {failure}", err=True)


@app.command("list-runs", epilog="For example: elastic dags list-runs daily_etls")
def list_runs(
    dag_id: DagId,
    limit: Annotated[int, typer.Option(min=1, help="Number of runs to list, latest first.")] = 20,
    output: ListOutput = ListFormat.TABLE,
) -> None:
    """List the runs of a DAG."""
    from elastic.db import queries
    from elastic.scheduler.deployment import Deployment

    rows = [
        {**{name: getattr(run, name, None) for name in _RUN_COLUMNS}, "type": run.run_type, "late": run.is_late}
        for run in queries.runs(Deployment.of().database, dag_id, limit=limit)
    ]
    if not rows:
        # Raise an error if the DAG does not exist at all.
        deployment_and_dag(dag_id, None)
    print_list(_RUN_COLUMNS, rows, output, empty=f"DAG {dag_id!r} has no runs")


@app.command("show", epilog="For example: elastic dags show example_2")
def show(dag_id: DagId, subdir: Subdir = None) -> None:
    """Show the settings, tasks and latest runs of a DAG."""
    from elastic.db import queries

    deployment, dag = deployment_and_dag(dag_id, subdir)
    print_facts(_facts(dag))
    say("\n" + dag.tree())
    for run in queries.runs(deployment.database, dag_id, limit=5):
        say(f"{run.logical_date:%Y-%m-%d %H:%M}  {run.state}  {run.run_id}")


@app.command("details", epilog="For example: elastic dags details example_2")
def details(dag_id: DagId, subdir: Subdir = None) -> None:
    """Print the structure of a DAG as JSON."""
    from elastic.dag.files.dag_file import read_source
    from elastic.dag.serialized_dag import to_dict

    _, dag = deployment_and_dag(dag_id, subdir)
    digest = read_source(Path(dag.fileloc)).digest
    say(json_text(json.dumps(to_dict(dag, digest), indent=2, ensure_ascii=False)))


@app.command("tree", epilog="For example: elastic dags tree example_2")
def tree(dag_id: DagId, subdir: Subdir = None) -> None:
    """Print the tasks as a tree, from the last tasks to their upstream tasks."""
    _, dag = deployment_and_dag(dag_id, subdir)
    say(dag.tree())


@app.command("graph", epilog="For example: elastic dags graph example_2 | dot -Tsvg > example_2.svg")
def graph(
    dag_id: DagId,
    subdir: Subdir = None,
    drawing: Annotated[
        Drawing, typer.Option("-f", "--format", help="dot (Graphviz) or mermaid (Markdown).")
    ] = Drawing.DOT,
) -> None:
    """Print the graph of a DAG in the language of Graphviz or Mermaid."""
    from elastic.scheduler.commands.graph import dot, mermaid

    _, dag = deployment_and_dag(dag_id, subdir)
    say(dot(dag) if drawing is Drawing.DOT else mermaid(dag))


@app.command("test", epilog="For example: elastic dags test example_2 2014-09-01")
def test(dag_id: DagId, date: OptionalDate = None, subdir: Subdir = None) -> None:
    """Run all tasks once in this process, one after another, without retries or stored results."""
    from elastic.scheduler.commands.dag_test import test_dag

    _, dag = deployment_and_dag(dag_id, subdir)
    summary = test_dag(dag, dag.instant(date) if date is not None else None, lambda line: None)
    sys.stdout.flush()
    say(str(summary))
    if not summary.succeeded:
        raise typer.Exit(1)


@app.command("next", epilog="For example: elastic dags next daily_etls -n 3")
def next_dates(
    dag_id: DagId,
    subdir: Subdir = None,
    count: Annotated[int, typer.Option("-n", "--num-runs", min=1, help="Number of dates.")] = 1,
) -> None:
    """Print the next logical dates of a DAG and the start times of their runs."""
    from elastic.db import queries

    deployment, dag = deployment_and_dag(dag_id, subdir)
    latest = queries.latest_run(deployment.database, dag_id)
    after = latest.logical_date if latest else None
    printed = 0
    while printed < count:
        interval = dag.schedule.next_interval(after, start=dag.start_date, end=dag.end_date)
        if interval is None:
            break
        say(f"{interval.start.isoformat()}  starts at {interval.end.isoformat()}")
        after, printed = interval.start, printed + 1
    if not printed:
        say(f"DAG {dag_id!r} ({dag.schedule}) has no next date")


@app.command("pause", epilog="For example: elastic dags pause daily_etls")
def pause(dag_id: DagId, subdir: Subdir = None) -> None:
    """Stop masters from making and starting runs of a DAG; those that are active go on."""
    _set_paused(dag_id, subdir, paused=True)


@app.command("unpause", epilog="For example: elastic dags unpause daily_etls")
def unpause(dag_id: DagId, subdir: Subdir = None) -> None:
    """Let masters make and start runs of a DAG again."""
    _set_paused(dag_id, subdir, paused=False)


@app.command("delete", epilog="For example: elastic dags delete old_etls")
def delete(dag_id: DagId, yes: Yes = False) -> None:
    """Delete a DAG that is gone from its file, with its runs and their history; log files stay."""
    from elastic.db.open_database import open_database
    from elastic.db.retention import delete_dag

    database = open_database()
    confirm(f"Delete DAG {dag_id!r} with all its runs?", yes=yes)
    count = delete_dag(database, dag_id)
    say(f"DAG {dag_id!r} was deleted, with {count} {'run' if count == 1 else 'runs'}")


@app.command("init", epilog="For example: elastic dags init")
def init() -> None:
    """Copy example DAGs into the DAG folder; files that exist are left alone."""
    from elastic.scheduler.deployment import Deployment
    from elastic.service.examples import copy_examples

    folder = Deployment.of().dags_folder
    for path, is_new in copy_examples(folder):
        say(f"{path} {'is new' if is_new else 'exists already'}")


@app.command("trigger", epilog="For example: elastic dags trigger daily_etls -e 2016-02-22 --conf '{\"full\": true}'")
def trigger(
    dag_id: DagId,
    subdir: Subdir = None,
    exec_date: Annotated[str | None, typer.Option("-e", "--exec-date", help="Logical date; default: now.")] = None,
    run_id: Annotated[str | None, typer.Option("-r", "--run-id", help="Id of the new run.")] = None,
    conf: Annotated[str | None, typer.Option("-c", "--conf", help="A JSON object: `conf` of the tasks.")] = None,
    is_run: Annotated[bool, typer.Option("--run", help="Run it in this process at once.")] = False,
) -> None:
    """Queue a run of a DAG, even if its interval has not ended yet.

    A master (`elastic master`) runs it. Without one, run it with `elastic backfill DAG --runs RUN`, or with --run.
    """
    from elastic.scheduler.commands.backfill import BackfillOptions, backfill
    from elastic.scheduler.commands.trigger import trigger_run
    from elastic.service.run_waits import start_advice

    deployment, dag = deployment_and_dag(dag_id, subdir)
    date = dag.instant(exec_date) if exec_date is not None else None
    run = trigger_run(deployment, dag, date, run_id, _conf(conf), is_served=not is_run)
    advice = "" if is_run else f"; {start_advice(deployment.database, run, deployment.heartbeat)}"
    say(f"run {run.run_id} of DAG {dag_id!r} is {run.state}{advice}")
    if is_run:
        summary = backfill(deployment, dag, BackfillOptions(runs=(run.run_id,)), say)
        say(str(summary))
        say_what_waits(deployment)
        raise typer.Exit(0 if summary.succeeded else 1)


def _conf(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except ValueError as error:
        raise UsageError(f"--conf must be valid JSON ({error}).") from None
    if not isinstance(found, dict):
        raise UsageError("--conf must be a JSON object, such as '{\"full\": true}'.")
    return found


def _set_paused(dag_id: str, subdir: Any, *, paused: bool) -> None:
    from elastic.db.stores.dags import set_paused
    from elastic.scheduler.catalog.dag_catalog import store

    deployment, dag = deployment_and_dag(dag_id, subdir)
    store(deployment, dag)
    set_paused(deployment.database, dag_id, paused=paused)
    say(f"DAG {dag_id!r} is {'paused' if paused else 'not paused'}")


def _facts(dag: "DAG") -> dict[str, Any]:
    return {
        "dag_id": dag.dag_id,
        "file": dag.fileloc,
        "schedule": str(dag.schedule),
        "timezone": dag.timezone,
        "start_date": dag.start_date,
        "end_date": dag.end_date,
        "catchup": dag.catchup,
        "owner": dag.owner,
        "tags": ", ".join(dag.tags) or None,
        "concurrency": dag.concurrency,
        "max_active_runs": dag.max_active_runs,
        "tasks": dag.task_count,
    }


def _row_of(dag: "DAG") -> dict[str, Any]:
    return {
        "dag_id": dag.dag_id,
        "schedule": str(dag.schedule),
        "owner": dag.owner,
        "tasks": dag.task_count,
        "paused": None,
        "file": dag.fileloc,
    }


def _row(row: "DagRow") -> dict[str, Any]:
    return {
        "dag_id": row.dag_id,
        "schedule": row.schedule,
        "owner": row.owner,
        "tasks": row.task_count,
        "paused": row.is_paused,
        "file": row.fileloc,
    }
