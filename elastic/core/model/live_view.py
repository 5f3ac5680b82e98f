"""Live views: snapshots of a running step for pages. No decision depends on them."""

import math
from dataclasses import astuple, dataclass
from typing import Any

from elastic.core.receipts.stage import STAGES

#: Limits of a view. No master writes a file that exceeds them.
MAX_SPANS, MAX_WORKERS, MAX_COUNTERS = 4_000, 4_000, 200
_MAX_NAME = 300
_MAX_NUMBER = 1 << 62
_STAGE_NAMES = frozenset(stage.value for stage in STAGES)


@dataclass(frozen=True, slots=True)
class LiveSpan:
    """Chunks `[first, stop)` that are at the same stage."""

    first: int
    stop: int
    #: last known stage (a Stage value)
    stage: str
    #: index in `LiveView.workers`; None if no worker holds them
    worker: int | None
    #: number of times that they were sent
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveView:
    """Snapshot of a running step: positions of the chunks, counters and rates."""

    #: seconds since 1970
    noted_at: float
    #: total number of chunks; None if it is unknown before the end of the source
    expected_chunks: int | None
    #: number of chunks that are cut; their ids start at 0
    cut_chunks: int
    #: by ascending first chunk id, disjoint; a cut chunk outside all spans is waiting
    spans: tuple[LiveSpan, ...]
    #: number of spans that were left out
    omitted_spans: int
    #: names of the workers, `node/worker`
    workers: tuple[str, ...]
    counters: dict[str, int]
    #: mean over the last seconds
    chunks_per_second: float
    entries_per_second: float

    def plain(self) -> dict[str, Any]:
        """Return this view as plain data."""
        return {
            "noted_at": self.noted_at,
            "expected_chunks": self.expected_chunks,
            "cut_chunks": self.cut_chunks,
            "spans": [list(astuple(span)) for span in self.spans],
            "omitted_spans": self.omitted_spans,
            "workers": list(self.workers),
            "counters": self.counters,
            "chunks_per_second": self.chunks_per_second,
            "entries_per_second": self.entries_per_second,
        }

    @classmethod
    def of(cls, plain: dict[str, Any]) -> "LiveView":
        """Return the view that `plain` describes, and check every value.

        Raises:
            ValueError: A value has another type, is out of range, or spans overlap.
        """
        try:
            spans, workers, counters = plain["spans"], plain["workers"], plain["counters"]
            _check_size(spans, list, MAX_SPANS)
            _check_size(workers, list, MAX_WORKERS)
            _check_size(counters, dict, MAX_COUNTERS)
            expected = plain["expected_chunks"]
            view = cls(
                noted_at=_rate(plain["noted_at"]),
                expected_chunks=None if expected is None else _number(expected),
                cut_chunks=_number(plain["cut_chunks"]),
                spans=tuple(_span(span, len(workers)) for span in spans),
                omitted_spans=_number(plain["omitted_spans"]),
                workers=tuple(map(_name, workers)),
                counters={_name(name): _number(count) for name, count in counters.items()},
                chunks_per_second=_rate(plain["chunks_per_second"]),
                entries_per_second=_rate(plain["entries_per_second"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"invalid live view ({error})") from error
        for before, after in zip(view.spans, view.spans[1:], strict=False):
            if after.first < before.stop:
                raise ValueError(f"the spans at chunk {after.first} overlap")
        return view


def _span(value: Any, workers: int) -> LiveSpan:
    first, stop, stage, worker, attempt = value
    if _number(first) >= _number(stop) or stage not in _STAGE_NAMES:
        raise ValueError(f"invalid span {str(value)[:100]}")
    if worker is not None and _number(worker) >= workers:
        raise ValueError(f"a span names worker {worker} of {workers}")
    return LiveSpan(first, stop, stage, worker, _number(attempt))


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _MAX_NUMBER:
        raise ValueError(f"invalid number {str(value)[:100]}")
    return value


def _rate(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value < _MAX_NUMBER:
        raise ValueError(f"invalid number {str(value)[:100]}")
    return float(value)


def _name(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MAX_NAME:
        raise ValueError("invalid name")
    return value


def _check_size(value: Any, kind: type[list[Any]] | type[dict[Any, Any]], longest: int) -> None:
    if not isinstance(value, kind) or len(value) > longest:
        raise ValueError(f"expected a {kind.__name__} of at most {longest} elements")
