"""`elastic example`: things to try, without any input of your own."""

import sysconfig
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from elastic.cli.output import Format, Output, print_json, print_table

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Things to try.")


@app.callback()
def examples() -> None:
    """Things to try, without any input of your own."""


@app.command("word-count", epilog="For example: elastic example word-count 'books/*.txt' --top 20 -o json")
def word_count(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH", help="Files, folders or globs; without any, Python's own sources."),
    ] = None,
    separator: Annotated[
        str | None, typer.Option(help="What stands between words, as in str.split; any white space if left out.")
    ] = None,
    top: Annotated[int, typer.Option(min=0, help="How many of the most common words to print.")] = 10,
    cluster: Annotated[
        str | None, typer.Option(help="inline, local, auto or host:port; RAY_ADDRESS or local if left out.")
    ] = None,
    errors: Annotated[
        str, typer.Option(help="strict or replace: what to do about bytes that are not UTF-8.")
    ] = "strict",
    output: Output = Format.TABLE,
) -> None:
    """Count words, and account for every line."""
    # Imported here so that `elastic --help` answers at once.
    from elastic.aggregators import Count
    from elastic.core.errors import UsageError
    from elastic.engine.reading import read_text
    from elastic.interceptors.console_progress import ConsoleProgress

    if separator == "":
        raise UsageError("--separator is empty; leave it out to split at any white space.")
    words = read_text(paths or python_texts(), errors=errors).flat_map(partial(_split, separator)).aggregate(Count())
    options: dict[str, Any] = {} if cluster is None else {"cluster": cluster}
    result = words.run(name="word-count", interceptor=ConsoleProgress(), **options)
    counts = result.value
    # Words that are equally common by themselves: in which order results arrived must not show.
    most_common = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:top]
    if output is Format.JSON:
        print_json(
            {
                "status": result.state,
                "entries": result.entries,
                "chunks": result.chunks,
                "words_total": counts.total(),
                "words_distinct": len(counts),
                "top": most_common,
                "receipts": result.receipts,
                "seconds": round(result.seconds, 3),
                "run_id": result.run_id,
            }
        )
        return
    if top:
        print_table(["word", "count"], most_common, numbers=["count"])
    typer.echo(f"{counts.total():,} words, {len(counts):,} of them distinct")
    typer.echo(str(result))


def python_texts() -> list[str]:
    """Return texts that every Python installation carries: the topics of its help, and its library's sources."""
    library = Path(sysconfig.get_paths()["stdlib"])
    return [str(library / "pydoc_data" / "*.py"), str(library / "*.py")]


def _split(separator: str | None, line: str) -> list[str]:
    return line.split(separator)
