"""`elastic example`: flows that need no input of the user."""

import shutil
import sysconfig
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from elastic.cli.printing.output import Output, OutputFormat, print_json, print_table, say

if TYPE_CHECKING:
    from collections import Counter

    from elastic.core.frames import Frame


class Engine(StrEnum):
    """Engine that counts words."""

    PLAIN = "plain"
    FRAMES = "frames"


class _Counted(NamedTuple):
    """Printed totals of a word count."""

    total: int
    distinct: int
    top: list[tuple[str, int]]


class WrittenFormat(StrEnum):
    """Format of the files that the example writes."""

    PARQUET = "parquet"
    JSONL = "jsonl"


app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Try Elastic without any input of your own.")


@app.callback()
def examples() -> None:
    """Try Elastic without any input of your own."""


@app.command("word-count", epilog="For example: elastic example word-count 'books/*.txt' --top 20 -o json")
def word_count(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH", help="Files, folders or globs; without any, Python's own sources."),
    ] = None,
    separator: Annotated[
        str | None, typer.Option(help="Separator between words, as in str.split; default: any white space.")
    ] = None,
    top: Annotated[int, typer.Option(min=0, help="Number of most common words to print.")] = 10,
    cluster: Annotated[
        str | None, typer.Option(help="inline, local, auto or host:port; default: RAY_ADDRESS or local.")
    ] = None,
    errors: Annotated[str, typer.Option(help="strict or replace: treatment of bytes that are not UTF-8.")] = "strict",
    engine: Annotated[
        Engine, typer.Option(help="plain: Python's own strings; frames: columns of Polars, which must be installed.")
    ] = Engine.PLAIN,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Count words and account for every line."""
    # Imported here so that `elastic --help` answers at once.
    from elastic.aggregators import Count, FrameCount
    from elastic.core.errors import UsageError
    from elastic.flow.readers import read_text
    from elastic.interceptors.console_progress import ConsoleProgress

    if separator == "":
        raise UsageError("--separator is empty; leave it out to split at any white space.")
    if separator is not None and engine is Engine.FRAMES:
        raise UsageError("--separator and --engine frames do not go together; leave out one of them.")
    lines = read_text(paths or python_texts(), errors=errors)
    words = (
        lines.flat_map(partial(_split, separator)).aggregate(Count())
        if engine is Engine.PLAIN
        else lines.words().aggregate(FrameCount())
    )
    options: dict[str, Any] = {} if cluster is None else {"cluster": cluster}
    result = words.run(name="word-count", interceptor=ConsoleProgress(), **options)
    counted = _of_counter(result.value, top) if engine is Engine.PLAIN else _of_frame(result.value, top)
    if output is OutputFormat.JSON:
        print_json(
            {
                "status": result.state,
                "entries": result.entries,
                "chunks": result.chunks,
                "words_total": counted.total,
                "words_distinct": counted.distinct,
                "top": counted.top,
                "receipts": result.receipts,
                "seconds": round(result.seconds, 3),
                "run_id": result.run_id,
            }
        )
        return
    if top:
        print_table(["word", "count"], counted.top, numbers=["count"])
    say(f"{counted.total:,} words, {counted.distinct:,} of them distinct")
    say(str(result))


@app.command("etl", epilog="For example: elastic example etl my-etl --format jsonl --cluster inline")
def etl(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="New folder for the logs and for what is written.")
    ] = Path("elastic-etl"),
    form: Annotated[
        WrittenFormat, typer.Option("--format", help="parquet needs the extra `arrow`; jsonl needs nothing.")
    ] = WrittenFormat.PARQUET,
    cluster: Annotated[
        str | None, typer.Option(help="inline, local, auto or host:port; default: RAY_ADDRESS or local.")
    ] = None,
) -> None:
    """Write logs to files by day, with a kill half-way, and verify that each record is there once."""
    from elastic.cli.flows.etl import etl as etl_flow
    from elastic.cli.flows.etl import make_logs, run_until_killed
    from elastic.core.errors import ElasticError, UsageError
    from elastic.core.optional import require
    from elastic.recovery.resume import resume
    from elastic.verification.verify import verify

    if form is WrittenFormat.PARQUET:
        require("pyarrow", extra="arrow", user="elastic example etl")
    if folder.exists():
        raise UsageError(f"{str(folder)!r} exists; name a new folder, or remove that one.")
    logs, out = folder / "logs", folder / "by-day"
    make_logs(logs)
    say(f"made {logs}: three logs with some damaged lines")
    try:
        run_id = run_until_killed(logs, out, form, cluster)
    except ElasticError:
        shutil.rmtree(folder)
        raise
    say(f"run {run_id}: its process was killed half-way; resuming")
    options: dict[str, Any] = {} if cluster is None else {"cluster": cluster}
    result = resume(run_id, etl_flow(logs, out, form), **options)
    rows = []
    for day, count in sorted(result.value.items()):
        files = [file for file in result.written or () if file.name.startswith(f"day={day}/")]
        rows.append((day, count, sum(file.records for file in files), len(files)))
    print_table(["day", "counted", "written", "files"], rows, numbers=["counted", "written", "files"])
    say(f"{result.errors} damaged lines are dead letters: elastic dead-letters list {run_id}")
    say(str(result))
    say(str(verify(run_id)))
    say(f"read them by elastic.read_{form}({str(out)!r})")


def python_texts() -> list[str]:
    """Return globs of text files in every Python installation: help topics and library sources."""
    library = Path(sysconfig.get_paths()["stdlib"])
    return [str(library / "pydoc_data" / "*.py"), str(library / "*.py")]


def _of_counter(counts: "Counter[str]", top: int) -> _Counted:
    # Sort equally common words by name, so that the output does not depend on the order of arrival.
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:top]
    return _Counted(counts.total(), len(counts), ranked)


def _of_frame(counts: "Frame", top: int) -> _Counted:
    if not counts.height:
        return _Counted(0, 0, [])
    ranked = counts.top_k(top, by=["count", "word"], reverse=[False, True]) if top else counts.clear()
    ranked = ranked.sort("count", "word", descending=[True, False])
    return _Counted(int(counts.get_column("count").sum()), counts.height, ranked.rows())


def _split(separator: str | None, line: str) -> list[str]:
    return line.split(separator)
