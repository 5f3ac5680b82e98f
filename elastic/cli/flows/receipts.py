"""`elastic receipts`: count, show and decode the receipts of a run."""

from typing import Annotated, Any

import typer

from elastic.cli.printing.output import Output, OutputFormat, print_facts, print_json, print_table, say


def receipts(
    run: Annotated[str, typer.Argument(metavar="RUN|decode", help="Run id, a prefix of one, `last`, or `decode`.")],
    token: Annotated[str | None, typer.Argument(help="With decode: the receipt to decode.")] = None,
    step: Annotated[int, typer.Option(min=0, help="Number of the step in the run.")] = 0,
    chunk: Annotated[
        int | None, typer.Option(min=0, help="Show the six receipts of one chunk, or its last known place.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="List every chunk with its last stage and node.")] = False,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Count the receipts of a run, show those of a chunk, or decode one.

    For example: `elastic receipts last`, `elastic receipts last --chunk 3`, `elastic receipts last --all`,
    `elastic receipts decode abc...`
    """
    from elastic.core.errors import UsageError
    from elastic.run_history import RunHistory

    history = RunHistory.of_environment()
    if run == "decode":
        if token is None:
            raise UsageError("give the receipt to decode: elastic receipts decode TOKEN.")
        _print_one(history.decode(token), output)
    elif token is not None:
        raise UsageError(f"what is {token!r} for? Only `receipts decode` takes a receipt.")
    elif chunk is not None:
        run_id = history.find(run)
        if rows := history.chunk(run_id, step, chunk):
            _print_chunk(rows, output)
        else:
            _print_missing(history.whereabouts(run_id, step, chunk), output)
    elif every:
        _print_all(list(history.stations(history.find(run), step)), output)
    else:
        _print_counts(history.receipt_counts(history.find(run), step), output)


def _print_one(facts: dict[str, Any], output: OutputFormat) -> None:
    if output is OutputFormat.JSON:
        print_json(facts)
    else:
        print_facts(facts)


def _print_chunk(rows: list[dict[str, Any]], output: OutputFormat) -> None:
    if output is OutputFormat.JSON:
        print_json(rows)
    else:
        columns = ["stage", "node", "entries", "attempt", "receipt"]
        print_table(columns, [[row[column] for column in columns] for row in rows], numbers=["entries", "attempt"])


def _print_counts(account: dict[str, Any], output: OutputFormat) -> None:
    if output is OutputFormat.JSON:
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
    _print_gaps(account)
    if account["losses"]:
        say()
        columns = ["node", "worker", "chunks", "entries", "reason"]
        names = ["node_id", "worker_id", *columns[2:]]
        rows = [[_known(loss[name]) for name in names] for loss in account["losses"]]
        print_table([f"lost {columns[0]}", *columns[1:]], rows, numbers=["chunks", "entries"])


def _print_gaps(account: dict[str, Any]) -> None:
    missing = account["missing"]
    if not missing:
        say("missing: none")
        return
    spans = ", ".join(_span(first, stop) for first, stop in missing)
    say(f"missing: {sum(stop - first for first, stop in missing):,} chunks were sent and not aggregated: {spans}")
    known = [where for where in account["whereabouts"] if where["node"] is not None]
    if known:
        say()
        rows = [
            [
                _span(where["first"], where["stop"]), where["node"], _known(where["worker"]), _known(where["entries"]),
                where["attempt"], where["stage"], where["lost"] or "-",
            ]
            for where in known
        ]  # fmt: skip
        columns = ["missing", "node", "worker", "entries", "attempt", "last stage", "lost"]
        print_table(columns, rows, numbers=["entries", "attempt"])
        say(f"as the master recorded it at {account['noted_at']}")
    if len(known) < len(account["whereabouts"]):
        say("The other missing chunks have no known place: the run is active, or its master died too early.")


def _print_missing(where: dict[str, Any], output: OutputFormat) -> None:
    if output is OutputFormat.JSON:
        print_json(where)
        return
    chunk = f"chunk {where['chunk']} is not aggregated"
    if where["node"] is None:
        say(f"{chunk}: it was sent, but the master ended before it noted to which node.")
        return
    entries = "an unknown number of entries" if where["entries"] is None else f"{where['entries']:,} entries"
    worker = "" if where["worker"] is None else f", worker {where['worker']}"
    lost = f"; it was lost there: {where['lost']}" if where["lost"] else ""
    place = f"{where['stage']} at attempt {where['attempt']}, node {where['node']}{worker}{lost}"
    say(f"{chunk}: {entries}, last {place} (as the master recorded it at {where['noted_at']})")


def _print_all(rows: list[dict[str, Any]], output: OutputFormat) -> None:
    if output is OutputFormat.JSON:
        print_json(rows)
        return
    columns = list(rows[0]) if rows else ["chunk"]
    shown = [[_known(row[column]) for column in columns] for row in rows]
    print_table(columns, shown, numbers=["entries", "attempt"], ids=["chunk"])


def _known(value: Any) -> Any:
    return "-" if value is None else value


def _span(first: int, stop: int) -> str:
    return f"{first}" if stop == first + 1 else f"{first}-{stop - 1}"
