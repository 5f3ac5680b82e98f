"""`elastic pools`: limits on the tasks that use a system at the same time."""

from typing import TYPE_CHECKING, Annotated

import typer

from elastic.cli.printing.listing import ListFormat, ListOutput, Yes, confirm, print_list
from elastic.cli.printing.output import say

if TYPE_CHECKING:
    from elastic.db.stores.pools import PoolStore

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Manage pools: slots that limit parallel tasks.")

_COLUMNS = ("pool", "slots", "queued", "running", "description")


@app.callback()
def pool_commands() -> None:
    """Manage pools: slots that limit how many tasks use a system at the same time."""


@app.command("list", epilog="For example: elastic pools list -o yaml")
def list_pools(output: ListOutput = ListFormat.TABLE) -> None:
    """List the pools with their used slots; -1 means unlimited."""
    rows = [{name: getattr(pool, name) for name in _COLUMNS} for pool in _store().all()]
    print_list(_COLUMNS, rows, output, numbers=("slots", "queued", "running"))


@app.command(
    "set",
    epilog="For example: elastic pools set warehouse 4 --description 'connections to the warehouse'",
    context_settings={"ignore_unknown_options": True},
)
def set_pool(
    pool: Annotated[str, typer.Argument(help="The name of the pool.")],
    slots: Annotated[int, typer.Argument(help="Number of slots; -1 for unlimited.")],
    description: Annotated[str | None, typer.Option("--description", help="Purpose of the pool.")] = None,
) -> None:
    """Create or change a pool."""
    _store().put(pool, slots, description)
    say(f"pool {pool!r} has {'unlimited' if slots < 0 else slots} slots")


@app.command("delete", epilog="For example: elastic pools delete warehouse -y")
def delete(pool: Annotated[str, typer.Argument(help="The name of the pool.")], yes: Yes = False) -> None:
    """Delete a pool."""
    store = _store()
    confirm(f"Delete pool {pool!r}?", yes=yes)
    store.delete(pool)
    say(f"pool {pool!r} was deleted")


def _store() -> "PoolStore":
    from elastic.db.open_database import open_database
    from elastic.db.stores.pools import PoolStore

    return PoolStore(open_database())
