"""`elastic timeperiod`: run the flow of a timeperiod in one of Synergy's modes, and show its states."""

from typing import Annotated

import typer

from elastic.cli.dags.dag_options import DagId, Subdir, Timeperiod, deployment_and_dag
from elastic.cli.printing.listing import ListFormat, ListOutput, print_list
from elastic.cli.printing.output import say
from elastic.core.errors import UsageError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Run and show the flow of a timeperiod.")

_COLUMNS = ("step", "state", "task_state", "try_number")


@app.callback()
def timeperiod_commands() -> None:
    """Run the flow of a timeperiod in one of four modes, and show its states."""


@app.command("run", epilog="For example: elastic timeperiod run daily_etls 20160222 --mode recovery")
def run(
    dag_id: DagId,
    timeperiod: Timeperiod,
    mode: Annotated[
        str | None,
        typer.Option("--mode", help="nominal, recovery, run_one or run_from; default: see below."),
    ] = None,
    task_id: Annotated[str | None, typer.Option("--task", metavar="TASK", help="Task of run_one and run_from.")] = None,
    subdir: Subdir = None,
) -> None:
    """Run a DAG for a timeperiod.

    The mode is that of --mode, else `run_mode` in the parameters of the run, else that of core.run_mode, else nominal.
    A timeperiod that was never run is run in mode nominal.
    """
    from elastic.scheduler.commands.recover import run_in_mode

    deployment, dag = deployment_and_dag(dag_id, subdir)
    summary = run_in_mode(deployment, dag, timeperiod, say, request=mode, task_id=task_id)
    say(str(summary))
    if not summary.succeeded:
        raise typer.Exit(1)


@app.command("show", epilog="For example: elastic timeperiod show daily_etls 20160222")
def show(dag_id: DagId, timeperiod: Timeperiod, output: ListOutput = ListFormat.TABLE) -> None:
    """Show the state of the flow of a timeperiod, and of its steps."""
    from elastic.dag.states.state import TaskState
    from elastic.dag.states.synergy import flow_state_of
    from elastic.db import queries
    from elastic.scheduler.deployment import Deployment

    database = Deployment.of().database
    found = queries.run_of_id(database, dag_id, timeperiod) or queries.run_of_timeperiod(database, dag_id, timeperiod)
    if found is None:
        raise UsageError(f"DAG {dag_id!r} has no run for {timeperiod!r}; `elastic timeperiod run` makes it.")
    rows = queries.instances(database, dag_id, [found.run_id])
    last = queries.run_attempts(database, dag_id, found.run_id)[-1]
    if output is ListFormat.TABLE:
        state = flow_state_of(found.state, did_work=any(one.state is TaskState.SUCCESS for one in rows))
        say(f"{dag_id} {timeperiod}: {state}, mode {last.mode}, execution {found.attempt}, run {found.run_id}")
    shown = [
        {
            "step": one.task_id if one.map_index < 0 else f"{one.task_id}[{one.map_index}]",
            "state": str(flow_state_of(one.state)),
            "task_state": str(one.state or "none"),
            "try_number": one.try_number,
        }
        for one in rows
    ]
    print_list(_COLUMNS, shown, output, empty="the run has no steps yet", numbers=("try_number",))
