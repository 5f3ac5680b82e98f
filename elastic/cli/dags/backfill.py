"""`elastic backfill`: run a DAG for a range of dates."""

from typing import Annotated

import typer

from elastic.cli.dags.dag_options import (
    DagId,
    EndDate,
    StartDate,
    Subdir,
    TaskRegex,
    deployment_and_dag,
    say_what_waits,
)
from elastic.cli.printing.output import say

EXAMPLE = "For example: elastic backfill example_2 -s 2014-09-01 -e 2014-09-07"


def backfill(
    dag_id: DagId,
    task_regex: TaskRegex = None,
    start_date: StartDate = None,
    end_date: EndDate = None,
    mark_success: Annotated[
        bool,
        typer.Option("-m", "--mark-success", "--mark_success", help="Mark tasks as successful without running them."),
    ] = False,
    subdir: Subdir = None,
    ignore_dependencies: Annotated[
        bool,
        typer.Option(
            "-i", "--ignore-dependencies", "--ignore_dependencies", help="With -t: do not run their upstream tasks."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the tasks that would be queued.")] = False,
    rerun_failed: Annotated[
        bool, typer.Option("--rerun-failed", help="Also rerun failed tasks; by default they stay failed.")
    ] = False,
    reverse: Annotated[bool, typer.Option("--reverse", help="Start with the latest date.")] = False,
    max_active_runs: Annotated[
        int | None, typer.Option("--max-active-runs", min=1, help="Maximum number of dates that run in parallel.")
    ] = None,
    runs: Annotated[
        list[str] | None,
        typer.Option("--runs", metavar="RUN", help="Run ids to run instead of a range; repeatable."),
    ] = None,
    executor: Annotated[
        str | None, typer.Option("--executor", help="local, sequential, inline, ray, or module:Class.")
    ] = None,
    submit: Annotated[
        bool, typer.Option("--submit", help="Let masters make and run the runs; see `elastic backfills`.")
    ] = False,
) -> None:
    """Run a DAG for a range of dates, both ends included. Tasks that succeeded before are skipped.

    Without -s, the range starts at the start date of the DAG. Without -e, it ends at the date of -s, or else at the end
    date of the DAG.
    """
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
    if submit:
        from elastic.scheduler.commands.backfill import submit_range

        found = submit_range(deployment, dag, options)
        say(f"backfill {found.id} of {dag_id} waits for a master; `elastic backfills list` shows its progress")
        return
    summary = run_range(deployment, dag, options, say)
    if dry_run:
        return
    say(str(summary))
    say_what_waits(deployment)
    if not summary.succeeded:
        if summary.failed and not rerun_failed:
            say("use `--rerun-failed` to rerun the failed tasks", err=True)
        raise typer.Exit(1)
