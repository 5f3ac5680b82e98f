"""`elastic flow`: run a flow that somebody wrote."""

from typing import Annotated, Any

import typer

from elastic.cli.output import Format, Output, print_facts, print_json

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Run flows.")

#: Characters of a result that are shown in a table.
_SHOWN = 2000


@app.callback()
def flows() -> None:
    """Run flows that are defined in Python."""


@app.command("run", epilog="For example: elastic flow run word_count.py:words --cluster local")
def run(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="module:attr or file.py:attr of a Flow or Step.")],
    cluster: Annotated[
        str | None, typer.Option(help="inline, local, auto or host:port; RAY_ADDRESS or local if left out.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Workers at most; one per CPU if left out.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Run a flow and print its result."""
    from elastic.engine.run import run as run_step
    from elastic.engine.target import step_at
    from elastic.interceptors.console_progress import ConsoleProgress

    options: dict[str, Any] = {"interceptor": ConsoleProgress()}
    options |= {} if cluster is None else {"cluster": cluster}
    options |= {} if workers is None else {"workers": workers}
    result = run_step(step_at(target).with_options(**options))
    if output is Format.JSON:
        print_json(
            {
                "status": result.state,
                "run_id": result.run_id,
                "entries": result.entries,
                "chunks": result.chunks,
                "receipts": result.receipts,
                "seconds": round(result.seconds, 3),
                "value": jsonable(result.value),
            }
        )
        return
    shown = repr(result.value)
    print_facts({"value": shown if len(shown) <= _SHOWN else shown[:_SHOWN] + " ... (more with -o json)"})
    typer.echo(str(result))


def jsonable(value: Any) -> Any:
    """Return a value as JSON knows it: mappings whose keys are not text become lists of pairs, the unknown text."""
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {key: jsonable(item) for key, item in value.items()}
        return [[jsonable(key), jsonable(item)] for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((jsonable(item) for item in value), key=repr)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
