"""`elastic pools`: how many tasks may use the same system at once."""

from typing import TYPE_CHECKING, Annotated

import typer

from elastic.cli.printing.listing import ListFormat, ListOutput, Yes, confirm, print_list
from elastic.cli.printing.output import say

if TYPE_CHECKING:
    from elastic.db.stores.pools import PoolStore

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Show and set pools: slots that tasks share.")

_COLUMNS = ("pool", "slots", "queued", "running", "description")


@app.callback()
def pool_commands() -> None:
    """Show and set pools: slots that tasks share, so that not too many use the same system at once."""


@app.command("list", epilog="For example: elastic pools list -o yaml")
def list_pools(output: ListOutput = ListFormat.TABLE) -> None:
    """List the pools with the slots that are taken; -1 slots are any number."""
    rows = [{name: getattr(pool, name) for name in _COLUMNS} for pool in _store().all()]
    print_list(_COLUMNS, rows, output, numbers=("slots", "queued", "running"))


@app.command(
    "set",
    epilog="For example: elastic pools set warehouse 4 --description 'not more than the warehouse bears'",
    context_settings={"ignore_unknown_options": True},
)
def set_pool(
    pool: Annotated[str, typer.Argument(help="The name of the pool.")],
    slots: Annotated[int, typer.Argument(help="Its slots; -1 for any number.")],
    description: Annotated[str | None, typer.Option("--description", help="What it is for.")] = None,
) -> None:
    """Make a pool, or change the one of this name."""
    _store().put(pool, slots, description)
    say(f"pool {pool!r} has {'any number of' if slots < 0 else slots} slots")


@app.command("delete", epilog="For example: elastic pools delete warehouse -y")
def delete(pool: Annotated[str, typer.Argument(help="The name of the pool.")], yes: Yes = False) -> None:
    """Forget a pool."""
    store = _store()
    confirm(f"Forget pool {pool!r}?", yes=yes)
    store.delete(pool)
    say(f"pool {pool!r} is forgotten")


def _store() -> "PoolStore":
    from elastic.db.open_database import open_database
    from elastic.db.stores.pools import PoolStore

    return PoolStore(open_database())
