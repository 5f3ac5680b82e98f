"""`elastic tasks`: the tasks of a DAG, their instances, states and logs."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elastic.cli.dags.dag_options import DagId, Date, MapIndex, Subdir, TaskId, date_of, deployment_and_dag
from elastic.cli.dags.run import TASKS_EXAMPLE, run
from elastic.cli.printing.listing import ListFormat, ListOutput, print_list
from elastic.cli.printing.output import say
from elastic.core.errors import ElasticError
from elastic.core.text import message

if TYPE_CHECKING:
    from elastic.dag.operator import BaseOperator
    from elastic.db.records import DagRun
    from elastic.scheduler.deployment import Deployment

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="List, run and test tasks, and explain why one is waiting."
)

_COLUMNS = ("task_id", "operator", "upstream", "trigger_rule", "retries", "pool")
_WHY_COLUMNS = ("condition", "met", "reason")
_WHY_OF_COPIES = ("condition", "copies", "met", "reason")


@app.callback()
def task_commands() -> None:
    """List, run and test tasks, and explain why one is waiting."""


@app.command("list", epilog="For example: elastic tasks list example_2 --tree")
def list_tasks(
    dag_id: DagId,
    subdir: Subdir = None,
    tree: Annotated[bool, typer.Option("--tree", help="Print a tree, with upstream tasks below each task.")] = False,
    output: ListOutput = ListFormat.TABLE,
) -> None:
    """List the tasks of a DAG in topological order."""
    _, dag = deployment_and_dag(dag_id, subdir)
    if tree:
        say(dag.tree())
        return
    rows: list[dict[str, Any]] = [
        {
            "task_id": task.task_id,
            "operator": task.operator_type,
            "upstream": list(task.upstream),
            "trigger_rule": str(task.trigger_rule),
            "retries": task.retries,
            "pool": task.pool,
        }
        for task in dag.topological()
    ]
    print_list(_COLUMNS, rows, output, empty=f"DAG {dag_id!r} has no tasks", numbers=("retries",))


app.command("run", epilog=TASKS_EXAMPLE)(run)


@app.command("test", epilog="For example: elastic tasks test example_2 runme_1 2014-09-01")
def test(dag_id: DagId, task_id: TaskId, date: Date, subdir: Subdir = None) -> None:
    """Run one task once in this process, without its conditions, retries or stored results."""
    from elastic.scheduler.commands.dag_test import try_task

    _, dag = deployment_and_dag(dag_id, subdir)
    summary = try_task(dag, task_id, dag.instant(date), lambda line: None)
    sys.stdout.flush()
    if not summary.succeeded:
        raise typer.Exit(1)


@app.command("state", epilog="For example: elastic tasks state example_2 runme_1 2014-09-01")
def state(dag_id: DagId, task_id: TaskId, date: Date, subdir: Subdir = None, map_index: MapIndex = -1) -> None:
    """Print the state of a task instance; `none` before the scheduler has evaluated it.

    For a mapped task without --map-index, print the state of the copy that needs the most attention.
    """
    from elastic.scheduler.commands.mapped_tasks import states_at, states_summary
    from elastic.scheduler.commands.run_task import preview_run

    deployment, dag = deployment_and_dag(dag_id, subdir)
    run = preview_run(deployment, dag.get_task(task_id), date_of(deployment, dag, date))
    say(states_summary(states_at(deployment.database, run, task_id, map_index)))


@app.command("render", epilog="For example: elastic tasks render example_2 runme_1 2014-09-01")
def render(dag_id: DagId, task_id: TaskId, date: Date, subdir: Subdir = None, map_index: MapIndex = -1) -> None:
    """Print the rendered template fields of a task, without running it."""
    from elastic.scheduler.commands.render import rendered

    deployment, dag = deployment_and_dag(dag_id, subdir)
    fields = rendered(deployment, dag.get_task(task_id), date_of(deployment, dag, date), map_index)
    for name, text in fields.items():
        say(f"# {name}\n{text}")


@app.command("why", epilog="For example: elastic tasks why example_2 runme_1 2014-09-01")
def why(
    dag_id: DagId,
    task_id: TaskId,
    date: Date,
    subdir: Subdir = None,
    map_index: MapIndex = -1,
    output: ListOutput = ListFormat.TABLE,
) -> None:
    """Explain why a task instance is waiting: print the verdict of each condition."""
    from elastic.scheduler.commands.mapped_tasks import index_ranges
    from elastic.scheduler.commands.run_task import TaskRunOptions, preview_run, verdicts_of, verdicts_of_copies
    from elastic.service.run_waits import run_verdicts

    deployment, dag = deployment_and_dag(dag_id, subdir)
    task = dag.get_task(task_id)
    run, options = preview_run(deployment, task, date_of(deployment, dag, date)), TaskRunOptions(map_index=map_index)
    of_all = task.is_mapped and map_index < 0
    found = (
        verdicts_of_copies(deployment, task, run, options)
        if of_all
        else {one: [map_index] for one in verdicts_of(deployment, task, run, options)}
    )
    of_run = run_verdicts(deployment.database, run, deployment.heartbeat)
    found = {**{one: [-1] for one in of_run}, **found}
    rows = [
        {
            "condition": one.condition,
            "copies": index_ranges(at),
            "met": "yes" if one.met else "no",
            "reason": one.reason,
        }
        for one, at in found.items()
    ]
    print_list(_WHY_COLUMNS if not of_all else _WHY_OF_COPIES, rows, output)


@app.command("log", epilog="For example: elastic tasks log example_2 runme_1 2014-09-01")
def log(dag_id: DagId, task_id: TaskId, date: Date, subdir: Subdir = None, map_index: MapIndex = -1) -> None:
    """Print the log of a task instance, from its file or from the database.

    For a mapped task without --map-index, print the logs of all copies.
    """
    from elastic.scheduler.commands.mapped_tasks import indexes_at
    from elastic.scheduler.commands.run_task import preview_run

    deployment, dag = deployment_and_dag(dag_id, subdir)
    task = dag.get_task(task_id)
    run = preview_run(deployment, task, date_of(deployment, dag, date))
    indexes = indexes_at(deployment.database, task, run, map_index)
    for index in indexes:
        if len(indexes) > 1:
            say(f"==> {task_id}[{index}] <==")
        try:
            say(_log_text(deployment, task, run, index), nl=False)
        except ElasticError as error:
            if len(indexes) == 1:
                raise
            say(str(error))


def _log_text(deployment: "Deployment", task: "BaseOperator", run: "DagRun", map_index: int) -> str:
    from elastic.dag.execution.task_instance import TaskInstance
    from elastic.db import queries
    from elastic.scheduler.attempts.attempt_log import log_path
    from elastic.scheduler.attempts.attempt_request import attempt_info_of

    path = log_path(deployment, TaskInstance(task, attempt=attempt_info_of(run, task.task_id, map_index)))
    if path.is_file():
        return path.read_text(encoding="utf-8", errors="replace")
    kept = queries.log_lines(deployment.database, run.dag_id, run.run_id, task_id=task.task_id)
    lines = [line for line in kept if line.map_index == map_index]
    if not lines:
        raise ElasticError(f"log file is missing: {path}; the database has no lines of it either.")
    return "".join(message(f"{line.logger} {line.level} {line.message}") + "\n" for line in lines)
