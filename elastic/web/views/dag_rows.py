"""Rows of the list of DAGs."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from elastic.db.page_queries.dag_list import DagList, ListedDag, ListedRun
from elastic.web.views.times import duration, full_time

#: Heights of bars (pixels).
_LOWEST, _HIGHEST = 5, 26

#: Order of the counts of task states.
_STATES = (
    "success",
    "failed",
    "upstream_failed",
    "up_for_retry",
    "running",
    "deferred",
    "up_for_reschedule",
    "queued",
    "scheduled",
    "none",
    "skipped",
    "removed",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBar:
    """Bar of a run; the height shows the duration."""

    state: str
    height: int
    url: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DagLine:
    """Row of the list."""

    dag: ListedDag
    url: str
    bars: Sequence[RunBar]
    #: number of task instances of the last run by state
    tasks: Sequence[tuple[str, int]]
    #: URL of the last run; empty if there is none
    last_url: str


def dag_lines(found: DagList, zone: dt.tzinfo, now: dt.datetime) -> list[DagLine]:
    """Return the rows of a page of the list."""
    lines = []
    for dag in found.dags:
        bars = bars_of(dag.dag_id, found.runs.get(dag.dag_id, ()), zone, now)
        lines.append(
            DagLine(
                dag=dag,
                url=dag_url(dag.dag_id),
                bars=bars,
                tasks=in_order(found.tasks.get(dag.dag_id, {})),
                last_url=bars[-1].url if bars else "",
            )
        )
    return lines


def bars_of(dag_id: str, runs: Sequence[ListedRun], zone: dt.tzinfo, now: dt.datetime) -> list[RunBar]:
    """Return the bars of runs. Heights are relative to the longest ended run."""
    seconds = [_seconds(run, now) for run in runs]
    ended = [one for run, one in zip(runs, seconds, strict=True) if one is not None and run.ended_at is not None]
    longest = max(ended or [one for one in seconds if one is not None], default=0.0)
    return [
        RunBar(
            state=run.state,
            height=_height(one, longest),
            url=run_url(dag_id, run.run_id),
            label=_label(run, one, zone),
        )
        for run, one in zip(runs, seconds, strict=True)
    ]


def in_order(numbers: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return the numbers of task instances in the order in which pages show states."""
    known = [(state, numbers[state]) for state in _STATES if state in numbers]
    return known + sorted((state, number) for state, number in numbers.items() if state not in _STATES)


def dag_url(dag_id: str) -> str:
    """Return the URL of a DAG."""
    return f"/dags/{quote(dag_id, safe='')}"


def run_url(dag_id: str, run_id: str) -> str:
    """Return the URL of a run."""
    return f"{dag_url(dag_id)}/runs/{quote(run_id, safe='')}"


def _seconds(run: ListedRun, now: dt.datetime) -> float | None:
    if run.started_at is None:
        return None
    return max(0.0, ((run.ended_at or now) - run.started_at).total_seconds())


def _height(seconds: float | None, longest: float) -> int:
    if seconds is None or longest <= 0:
        return _LOWEST
    return min(_HIGHEST, max(_LOWEST, round(_HIGHEST * seconds / longest)))


def _label(run: ListedRun, seconds: float | None, zone: dt.tzinfo) -> str:
    took = "" if seconds is None else f", {'for' if run.ended_at is None else 'took'} {duration(seconds)}"
    return f"{full_time(run.logical_date, zone)}: {run.state}{took}"
