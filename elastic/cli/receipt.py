"""`elastic receipts`: what the receipts of a run say."""

from typing import Annotated, Any

import typer

from elastic.cli.output import Format, Output, print_facts, print_json, print_table, say


def receipts(
    run: Annotated[str, typer.Argument(metavar="RUN|decode", help="A run (id, beginning of it, `last`), or `decode`.")],
    token: Annotated[str | None, typer.Argument(help="With decode: the receipt.")] = None,
    step: Annotated[int, typer.Option(min=0, help="Which step of the run.")] = 0,
    chunk: Annotated[int | None, typer.Option(min=0, help="Show the six receipts of one chunk.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Count the receipts of a run, show those of a chunk, or decode one.

    For example: `elastic receipts last`, `elastic receipts last --chunk 3`, `elastic receipts decode abc...`
    """
    from elastic.core.errors import UsageError
    from elastic.engine.archive import Archive

    archive = Archive.of_environment()
    if run == "decode":
        if token is None:
            raise UsageError("give the receipt to decode: elastic receipts decode TOKEN.")
        _print_one(archive.decode(token), output)
    elif token is not None:
        raise UsageError(f"what is {token!r} for? Only `receipts decode` takes a receipt.")
    elif chunk is not None:
        _print_chunk(archive.chunk(archive.find(run), step, chunk), output)
    else:
        _print_account(archive.account(archive.find(run), step), output)


def _print_one(facts: dict[str, Any], output: Format) -> None:
    if output is Format.JSON:
        print_json(facts)
    else:
        print_facts(facts)


def _print_chunk(rows: list[dict[str, Any]], output: Format) -> None:
    if output is Format.JSON:
        print_json(rows)
    else:
        columns = ["stage", "node", "entries", "attempt", "receipt"]
        print_table(columns, [[row[column] for column in columns] for row in rows], numbers=["entries", "attempt"])


def _print_account(account: dict[str, Any], output: Format) -> None:
    if output is Format.JSON:
        print_json(account)
        return
    print_table(["stage", "receipts"], account["receipts"].items(), numbers=["receipts"])
    say()
    print_table(
        ["node", "chunks", "entries"],
        [[node, facts["chunks"], facts["entries"]] for node, facts in account["nodes"].items()],
        numbers=["chunks", "entries"],
    )
    say()
    missing = account["missing"]
    if missing:
        spans = ", ".join(f"{first}" if stop == first + 1 else f"{first}-{stop - 1}" for first, stop in missing)
        say(f"missing: {sum(stop - first for first, stop in missing):,} chunks were sent and not aggregated: {spans}")
    else:
        say("missing: none")
