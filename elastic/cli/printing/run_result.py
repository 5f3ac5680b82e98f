"""Printing of run results."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from elastic.cli.printing.output import OutputFormat, print_facts, print_json, say
from elastic.core.frames import is_frame
from elastic.core.model.written import Written

if TYPE_CHECKING:
    from elastic.engine.result import Result
    from elastic.engine.step import Step

#: Maximum number of characters of a result in a table.
_MAX_SHOWN = 2000

#: Value of a step without an aggregator.
_NOT_KEPT = (
    "None: the flow has no aggregator, so its outputs are counted and not kept. Keep them with "
    '.aggregate("collect"), or pass them to a function with .aggregate(Emit(function)).'
)


def print_result(
    result: "Result", step: "Step", output: OutputFormat, *, summary: str | None = None, **more: Any
) -> None:
    """Print the result of a step with its value.

    Args:
        result: The result.
        step: Its step.
        output: `table` for people, `json` for programs.
        summary: Line for people below the value; None for the text form of the result.
        more: Further keys of the JSON document.
    """
    # Imported here to keep `--help` fast.
    from elastic.aggregators import Nothing

    if output is OutputFormat.JSON:
        print_json(
            {
                "status": result.state,
                "run_id": result.run_id,
                "entries": result.entries,
                "chunks": result.chunks,
                "receipts": result.receipts,
                "counters": result.counters,
                "losses": [asdict(loss) for loss in result.losses],
                "root": result.root,
                "seconds": round(result.seconds, 3),
                "error": None if result.error is None else str(result.error),
                "value": None if isinstance(result.value, Written) else jsonable(result.value),
                "written": _written_facts(result),
                **more,
            }
        )
        return
    so_far = "" if result.error is None else " so far"
    if result.written is not None:
        print_facts({f"written{so_far}": result.written})
    if result.written is None or not isinstance(step.aggregator, Nothing):
        shown = _NOT_KEPT if isinstance(step.aggregator, Nothing) else repr(result.value)
        shown = shown if len(shown) <= _MAX_SHOWN else shown[:_MAX_SHOWN] + " ... (more with -o json)"
        print_facts({f"value{so_far}": shown})
    if result.error is None:
        say(str(result) if summary is None else summary)


def _written_facts(result: "Result") -> dict[str, Any] | None:
    written = result.written
    if written is None:
        return None
    return {
        "url": written.url,
        "records": written.records,
        "bytes": written.bytes,
        "files": [{"file": file.name, "records": file.records, "bytes": file.size} for file in written],
    }


def jsonable(value: Any) -> Any:
    """Convert a value to JSON types: mappings with keys other than strings become lists of pairs.

    Values of unknown types, NaN and infinity become strings, because JSON cannot hold them.
    """
    # Imported here to keep `--help` fast.
    from elastic.aggregators.sharded.frame_result import ShardedFrame

    if isinstance(value, ShardedFrame):
        return [row for frame in value.frames() for row in jsonable(frame)]
    if is_frame(value):
        return [jsonable(row) for row in value.iter_rows(named=True)]
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {key: jsonable(item) for key, item in value.items()}
        return [[jsonable(key), jsonable(item)] for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((jsonable(item) for item in value), key=repr)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
