"""`elastic bundle`: signed source code for processes without DAG files."""

from pathlib import Path
from typing import Annotated

import typer

from elastic.cli.printing.output import say

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Pack and sign the source code of DAGs.")


@app.callback()
def bundle_commands() -> None:
    """Pack and sign the source code of DAGs, for processes without DAG files: `elastic tasks run --bundle DIGEST`."""


@app.command("make-key", epilog="For example: elastic bundle make-key")
def make_key() -> None:
    """Create the key that signs bundles. Processes that run bundles need it too; the database never holds it."""
    from elastic.scheduler.catalog.signed_bundle import make_key as made

    path = _key_path()
    made(path)
    say(f"{path} holds the key; copy it only to machines that run bundles")


@app.command("create", epilog="For example: elastic bundle create dags/ --entry-point daily_etls:dag")
def create(
    place: Annotated[Path, typer.Argument(metavar="PLACE", help="A DAG file, or a folder with one.")],
    entry_point: Annotated[str, typer.Option("--entry-point", help="module:attribute of the DAG.")],
) -> None:
    """Pack and sign a file or folder, store it in the database, and print its digest."""
    from elastic.scheduler.catalog.signed_bundle import create as created
    from elastic.scheduler.catalog.signed_bundle import read_keys
    from elastic.scheduler.deployment import Deployment

    say(created(Deployment.of().database, place, entry_point, read_keys(_key_path())))


def _key_path() -> Path:
    from elastic.config.settings import read_settings

    return Path(read_settings().text("bundle.signing_key_path")).expanduser()
