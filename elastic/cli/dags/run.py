"""`elastic tasks run`, also `elastic run`: run one task for one date."""

from pathlib import Path
from typing import Annotated

import typer

from elastic.cli.dags.dag_options import DagId, Date, MapIndex, Subdir, TaskId, date_of, deployment_and_dag
from elastic.cli.printing.output import say
from elastic.core.errors import UsageError

EXAMPLE = "For example: elastic run example_2 runme_1 2014-09-01"
TASKS_EXAMPLE = "For example: elastic tasks run example_2 runme_1 2014-09-01"


def run(
    dag_id: DagId,
    task_id: TaskId,
    date: Date,
    subdir: Subdir = None,
    mark_success: Annotated[
        bool,
        typer.Option("-m", "--mark-success", "--mark_success", help="Mark it as successful without running it."),
    ] = False,
    force: Annotated[bool, typer.Option("-f", "--force", help="Run the task again if it is done.")] = False,
    ignore_dependencies: Annotated[
        bool,
        typer.Option(
            "-i",
            "--ignore-dependencies",
            "--ignore_dependencies",
            help="Ignore the upstream tasks and the previous date.",
        ),
    ] = False,
    pickle: Annotated[
        str | None,
        typer.Option("-p", "--pickle", help="Refused, because a pickle can run any code; use --bundle."),
    ] = None,
    bundle: Annotated[
        str | None,
        typer.Option("--bundle", help="Digest of signed source code to run, from `elastic bundle create`."),
    ] = None,
    map_index: MapIndex = -1,
    attempt: Annotated[str | None, typer.Option("--attempt", hidden=True)] = None,
    root: Annotated[Path | None, typer.Option("--root", hidden=True)] = None,
) -> None:
    """Run one task for one date, unless it succeeded before or one of its conditions is not met.

    The exit code is 0 if the task is done, else 1.
    """
    if pickle is not None:
        raise UsageError(
            f"DAGs cannot run from pickles ({pickle!r}): anyone with write access to the database could run any code. "
            "Pack signed source code with `elastic bundle create` and run it with --bundle DIGEST."
        )
    if bundle is not None:
        raise typer.Exit(_run_bundle(bundle, subdir))
    if attempt is not None:
        raise typer.Exit(_run_attempt((dag_id, task_id, date), (subdir, root), map_index, attempt))
    from elastic.db import queries
    from elastic.scheduler.commands.run_task import TaskRunOptions, run_single, slots_beside

    deployment, dag = deployment_and_dag(dag_id, subdir, root)
    is_run_id = queries.run_of_id(deployment.database, dag_id, date) is not None
    options = TaskRunOptions(
        ignore_dependencies=ignore_dependencies,
        force=force,
        mark_success=mark_success,
        map_index=map_index,
        # A run id names one run, whose interval may still be open.
        ignore_interval=is_run_id,
    )
    logical_date = date_of(deployment, dag, date)
    beside = None if is_run_id else slots_beside(dag.get_task(task_id), logical_date)
    if beside is not None:
        nearest = f"; the nearest dates are {' and '.join(beside)}" if beside else ""
        say(f"note: {date} is not on the schedule of task {task_id!r}{nearest}.", err=True)
    result = run_single(deployment, dag, task_id, logical_date, options, say)
    is_done = result.state is not None and result.state.is_success
    if result.reason:
        outcome = "was not run" if not is_done else "is done"
        say(f"{dag.get_task(task_id)} for {date} {outcome}: {result.reason}", err=not is_done)
    elif mark_success:
        say(f"{dag.get_task(task_id)} for {date} is marked as successful")
    elif not is_done:
        say(f"error: {dag.get_task(task_id)} for {date} is {result.state}: {result.error}", err=True)
    raise typer.Exit(0 if is_done else 1)


def _run_attempt(
    named: tuple[str, str, str], place: tuple[Path | None, Path | None], map_index: int, attempt: str
) -> int:
    """Run a queued attempt of a scheduler and return the exit code: 0 only if the attempt ran here and succeeded."""
    from elastic.dag.ids import TaskKey
    from elastic.db import queries
    from elastic.scheduler.commands.run_task import run_queued_attempt

    dag_id, task_id, date = named
    deployment, dag = deployment_and_dag(dag_id, *place)
    run = queries.run_at(deployment.database, dag_id, dag.instant(date))
    if run is None:
        raise UsageError(f"DAG {dag_id!r} has no run for {date}, so attempt {attempt} cannot run.")
    state = run_queued_attempt(
        deployment, dag.get_task(task_id), TaskKey(dag_id, run.run_id, task_id, map_index), attempt
    )
    if state is None:
        say(f"attempt {attempt} is superseded or runs in another process; nothing was run", err=True)
        return 1
    return 0 if state.is_success else 1


def _run_bundle(digest: str, subdir: Path | None) -> int:
    """Run this command again in a child process that has the files of a bundle. Return its exit code."""
    import subprocess
    import sys

    from elastic.config.settings import read_settings
    from elastic.scheduler.catalog.signed_bundle import read_keys, unpacked
    from elastic.scheduler.deployment import Deployment

    if subdir is not None:
        raise UsageError("-sd and --bundle exclude each other; give one of them.")
    settings = read_settings()
    keys = read_keys(Path(settings.text("bundle.signing_key_path")).expanduser())
    words = _without_bundle(sys.argv[1:])
    with unpacked(Deployment.of(settings).database, digest, keys) as (folder, file):
        place = ["-sd", str(file), "--root", str(folder)]
        done = subprocess.run([sys.executable, "-m", "elastic", *words, *place], check=False)  # noqa: S603
    return done.returncode if done.returncode >= 0 else 1


def _without_bundle(words: list[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word == "--bundle":
            skip = True
        elif not word.startswith("--bundle="):
            kept.append(word)
    return kept
