"""Labels of the flow pages: figures of a step, breadcrumbs, and links from a task to its flow runs."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from elastic.core.contracts.store import StepRecord
from elastic.core.errors import ElasticError
from elastic.core.model.failure import DeadLetter
from elastic.core.text import one_line
from elastic.persistence.stored_run import BUSY, UNREADABLE
from elastic.run_views.letter_groups import SourceLine, line_of
from elastic.run_views.run_list import RunList
from elastic.run_views.step_view import StepView
from elastic.web.views.amounts import compact, percent, plural, rate_of
from elastic.web.views.times import duration, rough_duration

#: URL of the page of a task instance.
_TASK_ADDRESS = "/dags/{dag_id}/runs/{run_id}/tasks/{task_id}"
#: Maximum number of characters of a traceback and of a message on a page.
MAX_TRACEBACK, MAX_MESSAGE = 64 << 10, 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Number with a label."""

    #: name for scripts
    name: str
    value: str
    #: text after the value in a smaller font
    rest: str
    label: str
    is_bad: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowLink:
    """Link from a task instance to a flow run that it started."""

    run_id: str
    url: str
    #: `100,000 chunks, 11 bad entries`, or why the run cannot be shown
    text: str
    #: state of the run; empty if its folder is not here
    state: str


def figures_of(view: StepView, kinds: int) -> list[Figure]:
    """Return the four figures of a step; `kinds` is the number of kinds of its bad entries."""
    total = f"of {view.total:,}{'+' if view.is_growing else ''}"
    rates = f"{rate_of(view.chunks_per_second)} chunks a second" if view.chunks_per_second else "no chunk yet"
    bad = view.letters or view.failed
    if view.letters:
        about = f"bad entries of {plural(kinds, 'kind')}" if kinds else "bad entries"
    else:
        about = "bad entries, not stored" if view.failed else "bad entries"
    if view.redriven:
        about += f", {view.redriven:,} redriven"
    resent = f"{plural(view.resent, 'chunk')} sent again" if view.resent else "no chunk sent again"
    return [
        Figure(name="aggregated", value=f"{view.aggregated:,}", rest=total, label="chunks aggregated exactly once"),
        Figure(name="entries", value=compact(view.entries), rest="", label=f"entries, {rates}"),
        Figure(name="bad", value=f"{bad:,}", rest="", label=about, is_bad=bool(bad)),
        time_figure(view, resent),
    ]


def time_figure(view: StepView, resent: str) -> Figure:
    """Return the time that a step took, or the time that is left."""
    if view.seconds_left is not None:
        return Figure(name="time", value=rough_duration(view.seconds_left), rest="", label=f"left, {resent}")
    word = "so far" if view.is_running else "in all"
    return Figure(name="time", value=duration(view.seconds), rest="", label=f"{word}, {resent}")


def state_text(view: StepView, label: str) -> str:
    """Return the state in words, with the share of the result while the step runs."""
    if not view.is_running:
        return label
    return f"{label}, {percent(view.share)}" if view.total and not view.is_growing else label


def crumbs_of(
    record: StepRecord, run_id: str, addresses: Collection[str], *more: tuple[str, str]
) -> list[tuple[str, str]]:
    """Return the breadcrumbs of a page of a step, through the task that ran the flow if there is one.

    Args:
        record: Record of the step.
        run_id: The run.
        addresses: URLs of the pages of this server.
        more: Text and URL of the parts below the step.
    """
    step = f"/flows/{run_id}/{record.step}"
    parts = [*(task_crumbs(record.manifest, addresses) or [("Flows", "/flows")])]
    parts += [(one_line(record.name) or run_id, step), (f"step {record.step}", step), *more]
    return [*parts[:-1], (parts[-1][0], "")]


def task_crumbs(manifest: Mapping[str, Any], addresses: Collection[str]) -> list[tuple[str, str]]:
    """Return the breadcrumbs of the task instance that started a flow run; empty without one, or without its page."""
    key = manifest.get("task_instance")
    if key is None or not _is_key(key) or _TASK_ADDRESS not in addresses:
        return []
    dag_id, run_id, task_id, map_index = key
    dag = f"/dags/{_quoted(dag_id)}"
    task = f"{dag}/runs/{_quoted(run_id)}/tasks/{_quoted(task_id)}"
    if map_index < 0:
        return [("DAGs", "/"), (dag_id, dag), (run_id, f"{dag}/runs/{_quoted(run_id)}"), (task_id, task)]
    copy = (f"{task_id}[{map_index}]", f"{task}/{map_index}")
    return [("DAGs", "/"), (dag_id, dag), (run_id, f"{dag}/runs/{_quoted(run_id)}"), copy]


def flow_links(runs: RunList, flow_run_ids: Iterable[str | None]) -> list[FlowLink]:
    """Return links to the flow runs of a task instance and of its attempts, without duplicates and unknown ids."""
    links = []
    for run_id in dict.fromkeys(run_id for run_id in flow_run_ids if run_id):
        try:
            found = runs.summary(run_id)
        except ElasticError:
            continue
        if found is None:
            text, state = "its folder is not on this machine", ""
        elif found.state == UNREADABLE:
            text, state = "its file is damaged", found.state
        elif found.state == BUSY:
            text, state = "its file is busy", found.state
        else:
            bad = f", {plural(found.dead_letters, 'bad entry', 'bad entries')}" if found.dead_letters else ""
            text, state = f"{plural(found.chunks, 'chunk')}{bad}", found.state
        links.append(FlowLink(run_id=run_id, url=f"/flows/{run_id}/0", text=text, state=state))
    return links


def source_line(letter: DeadLetter) -> SourceLine | None:
    """Return the line of code that raised the error of a dead letter."""
    return line_of(str(letter.failure.traceback))


def letter_key(chunk_id: int, index: int | None) -> str:
    """Return the URL segment of a dead letter: `9974-0`, or `9974-chunk` for a whole chunk."""
    return f"{chunk_id}-{'chunk' if index is None else index}"


def letter_place(key: str) -> tuple[int, int] | None:
    """Return chunk id and index (-1 for a whole chunk) from the URL segment of a dead letter; None if it is invalid."""
    chunk, separator, entry = key.partition("-")
    entry = "-1" if entry == "chunk" else entry
    if not separator or not _is_number(chunk) or not (_is_number(entry) or entry == "-1"):
        return None
    return int(chunk), int(entry)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


def _is_key(key: Any) -> bool:
    return (
        isinstance(key, list)
        and len(key) == 4
        and all(isinstance(part, str) for part in key[:3])
        and type(key[3]) is int
    )


def _quoted(part: str) -> str:
    return quote(part, safe="", errors="surrogatepass")
