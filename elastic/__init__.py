"""Elastic: run Python functions over more data than one process can take, and count every entry exactly once.

import elastic
from elastic.aggregators import Count

words = elastic.read_text("books/*.txt").flat_map(str.split).aggregate(Count())
result = words.run()
print(result.value.most_common(10))
"""

from typing import TYPE_CHECKING

from elastic._lazy import attach
from elastic.version import __version__

if TYPE_CHECKING:
    from elastic.core.contracts.aggregator import Aggregator
    from elastic.core.contracts.heartbeat import Heartbeat
    from elastic.core.contracts.interceptor import Interceptor
    from elastic.core.contracts.keyed_aggregator import KeyedAggregator
    from elastic.core.contracts.placement import NodeCandidate, Placement
    from elastic.core.contracts.source import Reader, Source
    from elastic.core.contracts.store import ChunkStore, StoredChunk
    from elastic.core.errors import ElasticError
    from elastic.core.model.bad_record import BadRecord, RawRecord
    from elastic.core.model.chunk import Chunk, SourcePiece
    from elastic.core.model.step import Progress, StepState
    from elastic.core.model.written import Written
    from elastic.core.policies.chaos import Chaos
    from elastic.core.receipts.receipt import Receipt
    from elastic.core.receipts.stage import Stage
    from elastic.core.type_registry import register_type
    from elastic.dag.dag import DAG
    from elastic.dag.dependencies import chain
    from elastic.dag.operator import BaseOperator
    from elastic.engine.options import Options
    from elastic.engine.result import Result
    from elastic.engine.step import Step
    from elastic.flow.flow import Flow, concat
    from elastic.flow.readers import (
        from_arrow,
        from_iterable,
        from_iterables,
        from_pandas,
        from_polars,
        from_range,
        from_source,
        read_csv,
        read_files,
        read_json,
        read_jsonl,
        read_parquet,
        read_sql,
        read_text,
    )
    from elastic.operators.decorators import task
    from elastic.persistence.stored_run import StoredRun
    from elastic.receipt_token import decode_token
    from elastic.recovery.redrive import dead_letters, redrive, result_of
    from elastic.recovery.resume import resume
    from elastic.recovery.run_source import from_run
    from elastic.run_history import RunHistory, delete_runs, prune_runs, runs
    from elastic.step_queue import StepQueue
    from elastic.verification.verify import Verification, verify

__all__ = [
    # tasks in order
    "DAG",
    "BaseOperator",
    "chain",
    "task",
    # sources of a flow
    "read_text",
    "read_jsonl",
    "read_json",
    "read_csv",
    "read_parquet",
    "read_sql",
    "read_files",
    "from_iterable",
    "from_iterables",
    "from_range",
    "from_pandas",
    "from_polars",
    "from_arrow",
    "from_source",
    "from_run",
    "concat",
    # flows, steps and their results
    "Flow",
    "Step",
    "StepQueue",
    "StepState",
    "Options",
    "Result",
    "Written",
    "Progress",
    # runs of the past
    "runs",
    "RunHistory",
    "StoredRun",
    "prune_runs",
    "delete_runs",
    "resume",
    "dead_letters",
    "redrive",
    "result_of",
    "verify",
    "Verification",
    # fault injection
    "Chaos",
    # receipts
    "Receipt",
    "Stage",
    "decode_token",
    # base classes and the values that they handle
    "Aggregator",
    "KeyedAggregator",
    "Interceptor",
    "Heartbeat",
    "Placement",
    "NodeCandidate",
    "Source",
    "Reader",
    "SourcePiece",
    "BadRecord",
    "RawRecord",
    "register_type",
    "ChunkStore",
    "StoredChunk",
    "Chunk",
    "ElasticError",
    "__version__",
]

#: Module of each public name. It is imported on first use, so that the command line and the workers start quickly.
_HOMES = {
    "elastic.core.contracts.aggregator": ("Aggregator",),
    "elastic.core.policies.chaos": ("Chaos",),
    "elastic.core.model.bad_record": ("BadRecord", "RawRecord"),
    "elastic.core.model.chunk": ("Chunk", "SourcePiece"),
    "elastic.core.errors": ("ElasticError",),
    "elastic.core.contracts.heartbeat": ("Heartbeat",),
    "elastic.core.contracts.interceptor": ("Interceptor",),
    "elastic.core.contracts.placement": ("NodeCandidate", "Placement"),
    "elastic.core.receipts.receipt": ("Receipt",),
    "elastic.core.contracts.keyed_aggregator": ("KeyedAggregator",),
    "elastic.core.contracts.source": ("Reader", "Source"),
    "elastic.core.receipts.stage": ("Stage",),
    "elastic.core.type_registry": ("register_type",),
    "elastic.core.model.step": ("Progress", "StepState"),
    "elastic.core.model.written": ("Written",),
    "elastic.core.contracts.store": ("ChunkStore", "StoredChunk"),
    "elastic.dag.dag": ("DAG",),
    "elastic.dag.dependencies": ("chain",),
    "elastic.dag.operator": ("BaseOperator",),
    "elastic.flow.flow": ("Flow", "concat"),
    "elastic.engine.options": ("Options",),
    "elastic.flow.readers": (
        "from_arrow",
        "from_iterable",
        "from_iterables",
        "from_pandas",
        "from_polars",
        "from_range",
        "from_source",
        "read_csv",
        "read_files",
        "read_json",
        "read_jsonl",
        "read_parquet",
        "read_sql",
        "read_text",
    ),
    "elastic.operators.decorators": ("task",),
    "elastic.recovery.redrive": ("dead_letters", "redrive", "result_of"),
    "elastic.engine.result": ("Result",),
    "elastic.recovery.resume": ("resume",),
    "elastic.recovery.run_source": ("from_run",),
    "elastic.engine.step": ("Step",),
    "elastic.run_history": ("RunHistory", "delete_runs", "prune_runs", "runs"),
    "elastic.persistence.stored_run": ("StoredRun",),
    "elastic.step_queue": ("StepQueue",),
    "elastic.receipt_token": ("decode_token",),
    "elastic.verification.verify": ("Verification", "verify"),
}

__getattr__, __dir__ = attach(__name__, _HOMES)
