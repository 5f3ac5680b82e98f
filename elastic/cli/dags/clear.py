"""`elastic clear`: reset task instances so that they run again."""

from typing import Annotated

import typer

from elastic.cli.dags.dag_options import DagId, EndDate, StartDate, Subdir, TaskRegex, deployment_and_dag
from elastic.cli.printing.listing import Yes, confirm
from elastic.cli.printing.output import say

EXAMPLE = "For example: elastic clear example_2 -t runme_1 -s 2014-09-01 -e 2014-09-07 -d"


def clear(
    dag_id: DagId,
    task_regex: TaskRegex = None,
    start_date: StartDate = None,
    end_date: EndDate = None,
    subdir: Subdir = None,
    upstream: Annotated[bool, typer.Option("-u", "--upstream", help="With -t: clear upstream tasks too.")] = False,
    downstream: Annotated[
        bool, typer.Option("-d", "--downstream", help="With -t: clear downstream tasks too.")
    ] = False,
    only_failed: Annotated[bool, typer.Option("--only-failed", help="Clear only failed instances.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the instances that would be cleared.")] = False,
    yes: Yes = False,
) -> None:
    """Reset task instances so that they run again. Their logs and past attempts are kept."""
    from elastic.db import transitions
    from elastic.scheduler.commands.clear import ClearOptions, to_clear
    from elastic.scheduler.decisions.dag_spec import DagSpec

    deployment, dag = deployment_and_dag(dag_id, subdir)
    options = ClearOptions(
        start=dag.instant(start_date) if start_date is not None else None,
        end=dag.instant(end_date) if end_date is not None else None,
        task_regex=task_regex,
        upstream=upstream,
        downstream=downstream,
        only_failed=only_failed,
    )
    found = to_clear(deployment.database, DagSpec.of(dag), options)
    if dry_run:
        for one in found:
            say(f"{one.key} ({one.state})")
        say(f"{len(found)} task instances would be cleared")
        return
    if found:
        confirm(f"Clear {len(found)} task instances of DAG {dag_id!r}?", yes=yes)
    cleared = transitions.clear(deployment.database, [one.key for one in found])
    say(f"{len(cleared)} task instances were cleared")
