"""`elastic backfill`: run a DAG for a range of dates."""

from typing import Annotated

import typer

from elastic.cli.dags.dag_options import DagId, EndDate, StartDate, Subdir, TaskRegex, deployment_and_dag
from elastic.cli.printing.output import say

EXAMPLE = "For example: elastic backfill example_2 -s 2014-09-01 -e 2014-09-07"


def backfill(
    dag_id: DagId,
    task_regex: TaskRegex = None,
    start_date: StartDate = None,
    end_date: EndDate = None,
    mark_success: Annotated[
        bool, typer.Option("-m", "--mark-success", "--mark_success", help="Do not run, only say that it succeeded.")
    ] = False,
    subdir: Subdir = None,
    ignore_dependencies: Annotated[
        bool,
        typer.Option(
            "-i", "--ignore-dependencies", "--ignore_dependencies", help="With -t: leave out the tasks before them."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be queued.")] = False,
    rerun_failed: Annotated[
        bool, typer.Option("--rerun-failed", help="Run what failed again; otherwise it stays failed.")
    ] = False,
    reverse: Annotated[bool, typer.Option("--reverse", help="Begin with the latest date.")] = False,
    max_active_runs: Annotated[
        int | None, typer.Option("--max-active-runs", min=1, help="Dates that run at the same time, at most.")
    ] = None,
    runs: Annotated[
        list[str] | None,
        typer.Option("--runs", metavar="RUN", help="Instead of a range: a run by its id, once or several times."),
    ] = None,
    executor: Annotated[
        str | None, typer.Option("--executor", help="local, sequential, inline, ray, or module:Class.")
    ] = None,
) -> None:
    """Run all tasks of a range of dates in their order, but for what succeeded already. Both ends are included."""
    from elastic.scheduler.commands.backfill import BackfillOptions
    from elastic.scheduler.commands.backfill import backfill as run_range

    deployment, dag = deployment_and_dag(dag_id, subdir)
    options = BackfillOptions(
        start=dag.instant(start_date) if start_date is not None else None,
        end=dag.instant(end_date) if end_date is not None else None,
        task_regex=task_regex,
        ignore_dependencies=ignore_dependencies,
        mark_success=mark_success,
        dry_run=dry_run,
        rerun_failed=rerun_failed,
        reverse=reverse,
        max_active_runs=max_active_runs,
        runs=tuple(runs or ()),
        executor=executor,
    )
    summary = run_range(deployment, dag, options, say)
    if dry_run:
        return
    say(str(summary))
    if not summary.succeeded:
        if summary.failed and not rerun_failed:
            say("`--rerun-failed` runs again what failed", err=True)
        raise typer.Exit(1)
