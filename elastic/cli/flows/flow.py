"""`elastic flow`: run flows defined in Python."""

from pathlib import Path
from typing import Annotated

import typer

from elastic.cli.flows.flow_of_run import Cluster, Workers, options_of
from elastic.cli.printing.output import Output, OutputFormat
from elastic.cli.printing.run_result import print_result

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Run flows defined in Python.")


@app.callback()
def flows() -> None:
    """Run flows defined in Python."""


@app.command("run", epilog="For example: elastic flow run word_count.py:words --cluster local")
def run(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="module:attr or file.py:attr of a Flow or Step.")],
    cluster: Cluster = None,
    workers: Workers = None,
    shards: Annotated[
        int | None, typer.Option(min=1, help="Number of parts to divide the result into, by key.")
    ] = None,
    write_to: Annotated[
        Path | None,
        typer.Option(help="With --shards: folder for the parts, as *.jsonl, *.parquet or *.arrow."),
    ] = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Run a flow and print its result."""
    from elastic.engine.run import run as run_step
    from elastic.flow.loader import step_at

    metadata = {"target": target, "folder": str(Path.cwd())}
    step = step_at(target).with_options(**options_of(cluster, workers, shards=shards, write_to=write_to))
    print_result(run_step(step, metadata=metadata), step, output)
