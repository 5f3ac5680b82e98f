"""`elastic backfills`: backfills that masters carry out."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from elastic.cli.printing.listing import ListFormat, ListOutput, print_list
from elastic.cli.printing.output import say

if TYPE_CHECKING:
    from elastic.db.transitions import Backfill

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="List, pause and cancel backfills that masters carry out."
)

_COLUMNS = ("id", "dag_id", "from", "to", "state", "made", "active", "success", "failed", "next", "owner")

BackfillId = Annotated[int, typer.Argument(metavar="BACKFILL", min=1, help="Number of the backfill.")]


@app.callback()
def backfill_commands() -> None:
    """List, pause and cancel backfills that masters carry out. `elastic backfill --submit` makes one."""


@app.command("list", epilog="For example: elastic backfills list")
def list_backfills(
    dag_id: Annotated[str | None, typer.Option("-d", "--dag-id", help="Only those of this DAG.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Maximum number.")] = 100,
    output: ListOutput = ListFormat.TABLE,
) -> None:
    """List the latest backfills, with the number of their runs by state."""
    from elastic.db import transitions
    from elastic.db.open_database import open_database

    rows = [_row(one) for one in transitions.backfills(open_database(), dag_id=dag_id, limit=limit)]
    numbers = ("id", "made", "active", "success", "failed")
    print_list(_COLUMNS, rows, output, empty="no backfills", numbers=numbers)


@app.command("pause", epilog="For example: elastic backfills pause 3")
def pause(backfill_id: BackfillId) -> None:
    """Make no further runs; those that were made go on."""
    _set(backfill_id, "paused")


@app.command("resume", epilog="For example: elastic backfills resume 3")
def resume(backfill_id: BackfillId) -> None:
    """Make further runs of a paused backfill."""
    _set(backfill_id, "running")


@app.command("cancel", epilog="For example: elastic backfills cancel 3")
def cancel(backfill_id: BackfillId) -> None:
    """Make no further runs, for good; those that were made go on."""
    _set(backfill_id, "canceled")


def _set(backfill_id: int, state: str) -> None:
    from elastic.db import transitions
    from elastic.db.open_database import open_database
    from elastic.db.transitions import BackfillState

    wanted = BackfillState(state)
    found = transitions.set_backfill_state(open_database(), backfill_id, wanted)
    say(f"backfill {found.id} of {found.dag_id} is {found.state}; {found.active} of its runs are active")
    if found.state is not wanted:
        raise typer.Exit(1)


def _row(one: "Backfill") -> dict[str, Any]:
    from elastic.dag.states.state import RunState

    return {
        "id": one.id,
        "dag_id": one.dag_id,
        "from": f"{one.from_date:%Y-%m-%d %H:%M}",
        "to": f"{one.to_date:%Y-%m-%d %H:%M}",
        "state": str(one.state),
        "made": one.made,
        "active": one.active,
        "success": one.runs.get(RunState.SUCCESS, 0),
        "failed": one.runs.get(RunState.FAILED, 0),
        "next": f"{one.next_date:%Y-%m-%d %H:%M}" if one.next_date else "-",
        "owner": one.owner or "",
    }
