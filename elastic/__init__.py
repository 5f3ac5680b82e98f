"""Elastic: run Python functions over more data than one process can take, and count every entry exactly once.

import elastic
from elastic.aggregators import Count

words = elastic.read_text("books/*.txt").flat_map(str.split).aggregate(Count())
result = words.run()
print(result.value.most_common(10))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from elastic.version import __version__

if TYPE_CHECKING:
    from elastic.core.aggregator import Aggregator
    from elastic.core.chaos import Chaos
    from elastic.core.chunk import Chunk, Piece
    from elastic.core.errors import ElasticError
    from elastic.core.heartbeat import Heartbeat
    from elastic.core.interceptor import Interceptor
    from elastic.core.placement import Candidate, Placement
    from elastic.core.receipt import Receipt
    from elastic.core.sharding import KeyedAggregator
    from elastic.core.source import Reader, Source
    from elastic.core.stage import Stage
    from elastic.core.step import Progress, StepState
    from elastic.core.store import ChunkStore, Kept
    from elastic.dag.dag import DAG
    from elastic.engine.flow import Flow
    from elastic.engine.options import Options
    from elastic.engine.reading import (
        from_iterable,
        from_iterables,
        from_range,
        from_source,
        read_csv,
        read_jsonl,
        read_sql,
        read_text,
    )
    from elastic.engine.redrive import dead_letters, redrive, result_of
    from elastic.engine.result import Result
    from elastic.engine.resume import resume
    from elastic.engine.step import Step
    from elastic.engine.step_queue import StepQueue
    from elastic.engine.token import decode_token
    from elastic.engine.verification import Verification, verify

__all__ = [
    # tasks in order
    "DAG",
    # where a flow begins
    "read_text",
    "read_jsonl",
    "read_csv",
    "read_sql",
    "from_iterable",
    "from_iterables",
    "from_range",
    "from_source",
    # what is run, and what comes of it
    "Flow",
    "Step",
    "StepQueue",
    "StepState",
    "Options",
    "Result",
    "Progress",
    # what is done to a run afterwards
    "resume",
    "dead_letters",
    "redrive",
    "result_of",
    "verify",
    "Verification",
    # what strikes a run on purpose
    "Chaos",
    # receipts
    "Receipt",
    "Stage",
    "decode_token",
    # what users derive from
    "Aggregator",
    "KeyedAggregator",
    "Interceptor",
    "Heartbeat",
    "Placement",
    "Candidate",
    "Source",
    "Reader",
    "Piece",
    "ChunkStore",
    "Kept",
    "Chunk",
    "ElasticError",
    "__version__",
]

#: Where each name lives: imported when it is first used, so that the command line and the workers start quickly.
_HOMES = {
    "elastic.core.aggregator": ("Aggregator",),
    "elastic.core.chaos": ("Chaos",),
    "elastic.core.chunk": ("Chunk", "Piece"),
    "elastic.core.errors": ("ElasticError",),
    "elastic.core.heartbeat": ("Heartbeat",),
    "elastic.core.interceptor": ("Interceptor",),
    "elastic.core.placement": ("Candidate", "Placement"),
    "elastic.core.receipt": ("Receipt",),
    "elastic.core.sharding": ("KeyedAggregator",),
    "elastic.core.source": ("Reader", "Source"),
    "elastic.core.stage": ("Stage",),
    "elastic.core.step": ("Progress", "StepState"),
    "elastic.core.store": ("ChunkStore", "Kept"),
    "elastic.dag.dag": ("DAG",),
    "elastic.engine.flow": ("Flow",),
    "elastic.engine.options": ("Options",),
    "elastic.engine.reading": (
        "from_iterable",
        "from_iterables",
        "from_range",
        "from_source",
        "read_csv",
        "read_jsonl",
        "read_sql",
        "read_text",
    ),
    "elastic.engine.redrive": ("dead_letters", "redrive", "result_of"),
    "elastic.engine.result": ("Result",),
    "elastic.engine.resume": ("resume",),
    "elastic.engine.step": ("Step",),
    "elastic.engine.step_queue": ("StepQueue",),
    "elastic.engine.token": ("decode_token",),
    "elastic.engine.verification": ("Verification", "verify"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'elastic' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
