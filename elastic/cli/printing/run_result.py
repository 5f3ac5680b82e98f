"""How commands print the result of a run."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from elastic.cli.printing.output import OutputFormat, print_facts, print_json, say
from elastic.core.frames import is_frame

if TYPE_CHECKING:
    from elastic.engine.result import Result

#: Characters of a result that are shown in a table.
_SHOWN = 2000


def print_result(result: "Result", output: OutputFormat, **more: Any) -> None:
    """Print a result with its value; `more` are facts for programs."""
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
                "value": jsonable(result.value),
                **more,
            }
        )
        return
    shown = repr(result.value)
    name = "value" if result.error is None else "value so far"
    print_facts({name: shown if len(shown) <= _SHOWN else shown[:_SHOWN] + " ... (more with -o json)"})
    if result.error is None:
        say(str(result))


def jsonable(value: Any) -> Any:
    """Return a value as JSON knows it: mappings whose keys are not text become lists of pairs, the unknown text.

    NaN and infinity become text as well, because JSON has no numbers for them.
    """
    # Imported here because help needs none of it.
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
