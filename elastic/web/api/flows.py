"""Runs of flows: steps, chunks with receipts, dead letters, workers, proof, and the actions on a run."""

import datetime as dt
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from elastic.core.text import writable
from elastic.persistence.run_store.inspection import KeptLetter, WorkerShare
from elastic.persistence.stored_run import StoredRun
from elastic.run_actions import ActionKind, RunAction, actions_of, log_of, output_of
from elastic.run_views.chunk_cells import COLOURINGS, MAX_CELLS
from elastic.run_views.chunk_view import StationView
from elastic.run_views.entry_text import entry_line, entry_text
from elastic.run_views.letter_groups import letters_in_group
from elastic.run_views.run_list import STATES, RunFilter
from elastic.run_views.step_view import StepView, step_view
from elastic.web.api.answers import BYTES, PREFIX, TEXT, Limit, Page, answer, text
from elastic.web.errors import BadRequest
from elastic.web.flow_actions import start_action
from elastic.web.pages.chunk import chunk_of
from elastic.web.pages.dead_letters import letter_of
from elastic.web.pages.flow_proof import action_of, has_verified, proof_of
from elastic.web.pages.flow_requests import GROUPS, runs_of, step_of
from elastic.web.pages.flow_step import cells
from elastic.web.rendering import url_of
from elastic.web.routes import Router
from elastic.web.secrets import masked_text
from elastic.web.security.rights import Right
from elastic.web.views.flow_labels import MAX_TRACEBACK, letter_key, letter_place

router = Router(prefix=PREFIX, tags=["flows"])

#: Id of a run; the reader of runs checks its form.
RunId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.\-]{1,250}$")]
StepNumber = Annotated[int, Path(ge=0, lt=2**31)]
ChunkNumber = Annotated[int, Path(ge=0, lt=2**62)]
_First = Annotated[int, Query(alias="from", ge=0, lt=2**62)]
_Stop = Annotated[int | None, Query(alias="to", ge=0, lt=2**62)]
_STEP = "/flows/{run_id}/steps/{step}"


class FlowView(BaseModel):
    """Run of a flow with the numbers of its steps."""

    run_id: str
    steps: list[int]


class StepFigures(BaseModel):
    """Figures of a step."""

    run_id: str
    step: int
    name: str
    state: str
    is_running: bool
    #: whether the source may have further chunks
    is_growing: bool
    started_at: dt.datetime | None
    ended_at: dt.datetime | None
    #: seconds from the start to the end, or to the present
    seconds: float
    #: chunks in the result, and all known chunks
    aggregated: int
    total: int
    entries: int
    failed: int
    #: dead letters that are not redriven, and redriven ones
    letters: int
    redriven: int
    #: chunks that were sent again
    resent: int
    resumes: int
    #: number of chunks that reached each stage
    stations: dict[str, int]
    chunks_per_second: float
    entries_per_second: float
    #: damage of stored data, one sentence each
    damages: list[str]


class ChunkBody(BaseModel):
    """Chunk with its receipts, or its position."""

    chunk_id: int
    cut_at: dt.datetime | None
    attempt: int | None
    entries: int | None
    failed: int
    worker: str
    node: str
    #: number of chunks in the same batch, and the first of them
    batch: int
    batch_first: int
    #: whether the key of the run verifies the receipts; null without receipts
    is_verified: bool | None
    is_aggregated: bool
    lost: str
    damage: str
    stations: list[StationView]
    #: keys of its first dead letters
    letters: list[str]


class Receipts(BaseModel):
    """Receipts of a chunk by station."""

    chunk_id: int
    is_verified: bool | None
    items: list[StationView]


class LetterGroupView(BaseModel):
    """Dead letters with the same error class from the same line."""

    #: value of the query `error` of the list of dead letters
    key: str
    error_type: str
    place: str
    count: int


class LetterGroupList(BaseModel):
    """Groups of the dead letters that are not redriven, the largest first."""

    items: list[LetterGroupView]
    next: str | None
    #: number of dead letters that were grouped, of `total`
    read: int
    total: int


class LetterLine(BaseModel):
    """Dead letter of a list."""

    key: str
    chunk_id: int
    #: index in the chunk; null for the whole chunk
    index: int | None
    is_redriven: bool
    is_damaged: bool
    size: int
    #: beginning of the entry; empty if it cannot be read
    entry: str
    error_type: str
    message: str


class LetterBody(LetterLine):
    """Dead letter with its entry and traceback."""

    #: type and size of the entry
    kind: str
    #: the entry as text, and a dump of its bytes
    text: str
    hex: str
    is_cut: bool
    function: str
    place: str
    traceback: str
    attempts: int
    receipt: str


class Throughput(BaseModel):
    """Rates of a step."""

    is_running: bool
    #: chunks in the result, and all known chunks
    aggregated: int
    total: int
    entries: int
    #: seconds from the start to the end, or to the present
    seconds: float
    chunks_per_second: float
    entries_per_second: float
    #: estimated seconds until the end; null if unknown
    seconds_left: float | None


class WorkerList(BaseModel):
    """Busiest workers of a step."""

    items: list[WorkerShare]
    next: str | None
    #: number of further workers
    more: int


class FindingView(BaseModel):
    """Finding of a verification."""

    what: str
    first: int | None
    stop: int | None
    step: int | None


class ProofBody(BaseModel):
    """What a verification said about a step."""

    ok: bool
    root: str
    receipts_root: str
    entries: int | None
    chunks: int | None
    errors: int | None
    chunks_recomputed: int | None
    notes: list[str]
    findings: list[FindingView]
    #: number of further findings
    more: int


class ProofView(BaseModel):
    """Last verification of a step; null values without one."""

    action: RunAction | None
    proof: ProofBody | None


class ActionBody(BaseModel, extra="forbid"):
    """Step on which an action acts."""

    step: int = Field(default=0, ge=0, lt=2**31)


@router.get("/flows", requires=Right.READ, response_model=Page[StoredRun])
def list_flows(
    request: Request,
    q: Annotated[str, Query(max_length=200, description="substring of the id or the name")] = "",
    state: Annotated[Literal["", "running", "complete", "failed", "damaged"], Query()] = "",
    bad: Annotated[bool, Query(description="only runs with dead letters")] = False,
    after: Annotated[str, Query(max_length=200)] = "",
    limit: Limit = 50,
) -> Response:
    """List the runs of flows, newest first. With a filter, a page may be short although there is a next one."""
    wanted = RunFilter(text=q, state=state if state in STATES else "", has_letters=bad)
    found = runs_of(request).page(wanted, after=after or None, limit=limit)
    query: dict[str, Any] = {"q": q, "state": state, "bad": "true" if bad else "", "limit": limit}
    following = url_of(f"{PREFIX}/flows", **query, after=found.after) if found.after else None
    return answer(request, {"items": found.runs, "next": following})


@router.get("/flows/{run_id}", requires=Right.READ, response_model=FlowView)
def get_flow(request: Request, run_id: RunId) -> Response:
    """Return a run of a flow."""
    with step_of(request, run_id, 0) as opened:
        return answer(request, {"run_id": run_id, "steps": opened.steps})


@router.get(_STEP, requires=Right.READ, response_model=StepFigures)
def get_step(request: Request, run_id: RunId, step: StepNumber) -> Response:
    """Return the figures of a step."""
    with step_of(request, run_id, step) as opened:
        view = step_view(opened.reader, opened.record, opened.sign, opened.now)
        return answer(request, _figures(view, run_id, opened.damages))


@router.get(_STEP + "/throughput", requires=Right.READ, response_model=Throughput)
def get_throughput(request: Request, run_id: RunId, step: StepNumber) -> Response:
    """Return the rates of a step: over the last seconds while it runs, else over the whole step."""
    with step_of(request, run_id, step) as opened:
        view = step_view(opened.reader, opened.record, opened.sign, opened.now)
    return answer(request, {name: getattr(view, name) for name in Throughput.model_fields})


@router.get(_STEP + "/workers", requires=Right.READ, response_model=WorkerList)
def list_workers(request: Request, run_id: RunId, step: StepNumber) -> Response:
    """List the workers of a step with the numbers of their chunks, the busiest first."""
    with step_of(request, run_id, step) as opened:
        view = step_view(opened.reader, opened.record, opened.sign, opened.now)
    return answer(request, {"items": view.workers, "next": None, "more": view.more_workers})


@router.get(_STEP + "/chunks", requires=Right.READ, response_class=Response, responses=BYTES)
def get_chunks(  # noqa: PLR0913 - the query of the address
    request: Request,
    run_id: RunId,
    step: StepNumber,
    by: Annotated[str, Query(max_length=20, description=", ".join(COLOURINGS))] = "state",
    first: _First = 0,
    stop: _Stop = None,
    limit: Annotated[int, Query(alias="cells", ge=1, le=MAX_CELLS)] = MAX_CELLS,
) -> Response:
    """Return the states of chunks.

    The body is the length of a JSON head (4 bytes, little endian), the head, and one byte for each cell. A cell of
    several chunks has the worst of their states.
    """
    return cells(request, run_id, step, by, first, stop, limit)


@router.get(_STEP + "/chunks/{chunk_id}", requires=Right.READ, response_model=ChunkBody)
def get_chunk(request: Request, run_id: RunId, step: StepNumber, chunk_id: ChunkNumber) -> Response:
    """Return a chunk with its receipts, or its position."""
    with step_of(request, run_id, step) as opened:
        view, _ = chunk_of(opened, chunk_id)
    values = {name: getattr(view, name) for name in ChunkBody.model_fields if name != "letters"}
    return answer(request, {**values, "letters": [letter_key(one.chunk_id, one.index) for one in view.letters]})


@router.get(_STEP + "/chunks/{chunk_id}/receipts", requires=Right.READ, response_model=Receipts)
def get_receipts(request: Request, run_id: RunId, step: StepNumber, chunk_id: ChunkNumber) -> Response:
    """Return the receipts of a chunk."""
    with step_of(request, run_id, step) as opened:
        view, _ = chunk_of(opened, chunk_id)
    return answer(request, {"chunk_id": chunk_id, "is_verified": view.is_verified, "items": view.stations})


@router.get(_STEP + "/letter-groups", requires=Right.READ, response_model=LetterGroupList)
def list_letter_groups(request: Request, run_id: RunId, step: StepNumber) -> Response:
    """List the dead letters of a step grouped by the class of the error and the line that raised it."""
    with step_of(request, run_id, step) as opened:
        counts = opened.reader.snapshot(step)
        found = GROUPS.groups(opened.reader, step, counts.letters - counts.redriven)
    items = [
        {"key": one.key, "error_type": _shown(one.error_type), "place": _shown(one.place), "count": one.count}
        for one in found.groups
    ]
    return answer(request, {"items": items, "next": None, "read": found.read, "total": found.total})


@router.get(_STEP + "/letters", requires=Right.READ, response_model=Page[LetterLine])
def list_letters(
    request: Request,
    run_id: RunId,
    step: StepNumber,
    error: Annotated[str, Query(max_length=40, description="key of a group")] = "",
    after: Annotated[str, Query(max_length=60)] = "",
    limit: Limit = 50,
) -> Response:
    """List the dead letters of a step that are not redriven, by chunk and entry."""
    begin = letter_place(after) if after else (-1, -1)
    if begin is None:
        raise BadRequest(f"{after!r} is not the position of a dead letter.", "Open the first page.")
    with step_of(request, run_id, step) as opened:
        found, last = letters_in_group(opened.reader, step, error or None, after=begin, limit=limit)
    key = letter_key(last[0], None if last[1] < 0 else last[1]) if last else ""
    base = f"{PREFIX}/flows/{run_id}/steps/{step}/letters"
    following = url_of(base, error=error, limit=limit, after=key) if key else None
    return answer(request, {"items": [_line(one) for one in found], "next": following})


@router.get(_STEP + "/letters/{key}", requires=Right.READ, response_model=LetterBody)
def get_letter(request: Request, run_id: RunId, step: StepNumber, key: Annotated[str, Path(max_length=60)]) -> Response:
    """Return a dead letter: the entry as text and as bytes, the error and its traceback."""
    with step_of(request, run_id, step) as opened:
        kept = letter_of(opened, key)
    letter = kept.letter
    entry = None if letter is None else entry_text(letter)
    return answer(
        request,
        {
            **_line(kept),
            "kind": "" if entry is None else entry.kind,
            "text": "" if entry is None else _shown(entry.text),
            "hex": "" if entry is None else entry.hex,
            "is_cut": entry is not None and entry.is_cut,
            "function": "" if letter is None else _shown(letter.failure.function),
            "place": "" if letter is None else _shown(letter.failure.place),
            "traceback": "" if letter is None else _shown(letter.failure.traceback)[-MAX_TRACEBACK:],
            "attempts": 0 if letter is None else letter.attempts,
            "receipt": "" if letter is None else _shown(letter.receipt),
        },
    )


@router.get(_STEP + "/proof", requires=Right.READ, response_model=ProofView)
def get_proof(request: Request, run_id: RunId, step: StepNumber) -> Response:
    """Return the result of the last verification of a run for a step."""
    with step_of(request, run_id, step) as opened:
        latest = next((one for one in actions_of(opened.home, run_id) if has_verified(one)), None)
        output = None if latest is None else output_of(opened.home, run_id, latest.action_id)
        return answer(request, {"action": latest, "proof": proof_of(opened, output)})


@router.get("/flows/{run_id}/actions", requires=Right.READ, response_model=Page[RunAction])
def list_actions(request: Request, run_id: RunId) -> Response:
    """List the last actions on a run, newest first."""
    with step_of(request, run_id, 0) as opened:
        return answer(request, {"items": actions_of(opened.home, run_id), "next": None})


@router.get("/flows/{run_id}/actions/{action_id}", requires=Right.READ, response_model=RunAction)
def get_action(request: Request, run_id: RunId, action_id: Annotated[str, Path(max_length=60)]) -> Response:
    """Return an action on a run."""
    with step_of(request, run_id, 0) as opened:
        return answer(request, action_of(opened, action_id))


@router.get("/flows/{run_id}/actions/{action_id}/log", requires=Right.READ, response_class=Response, responses=TEXT)
def get_action_log(request: Request, run_id: RunId, action_id: Annotated[str, Path(max_length=60)]) -> Response:
    """Return the end of the log of an action as text."""
    with step_of(request, run_id, 0) as opened:
        action = action_of(opened, action_id)
        return text(request, masked_text(log_of(opened.home, run_id, action.action_id)))


@router.post("/flows/{run_id}/verify", requires=Right.REDRIVE, status_code=202, response_model=RunAction)
def verify(request: Request, run_id: RunId, body: ActionBody) -> Response:
    """Verify a step in a process of its own."""
    return _started(request, run_id, body, ActionKind.VERIFY)


@router.post("/flows/{run_id}/resume", requires=Right.REDRIVE, status_code=202, response_model=RunAction)
def resume(request: Request, run_id: RunId, body: ActionBody) -> Response:
    """Resume a step in a process of its own."""
    return _started(request, run_id, body, ActionKind.RESUME)


@router.post("/flows/{run_id}/redrive", requires=Right.REDRIVE, status_code=202, response_model=RunAction)
def redrive(request: Request, run_id: RunId, body: ActionBody) -> Response:
    """Redrive the dead letters of a step in a process of its own."""
    return _started(request, run_id, body, ActionKind.REDRIVE)


def _started(request: Request, run_id: str, body: ActionBody, kind: ActionKind) -> Response:
    action = start_action(request, run_id, body.step, kind)
    return answer(request, action, 202, Location=f"{PREFIX}/flows/{run_id}/actions/{action.action_id}")


def _figures(view: StepView, run_id: str, damages: list[str]) -> dict[str, Any]:
    given = {name: getattr(view, name) for name in StepFigures.model_fields if hasattr(view, name)}
    record = view.record
    fixed = {"run_id": run_id, "step": record.step, "name": writable(record.name), "state": record.state}
    return {**given, **fixed, "stations": dict(view.stations), "damages": damages}


def _line(kept: KeptLetter) -> dict[str, Any]:
    letter = kept.letter
    return {
        "key": letter_key(kept.chunk_id, kept.index),
        "chunk_id": kept.chunk_id,
        "index": kept.index,
        "is_redriven": kept.is_redriven,
        "is_damaged": kept.is_damaged,
        "size": kept.size,
        "entry": "" if letter is None else _shown(entry_line(letter)),
        "error_type": "" if letter is None else _shown(letter.failure.error_type),
        "message": "" if letter is None else _shown(letter.failure.message),
    }


def _shown(text: object) -> str:
    """Return a string of user code without secrets, and without characters that are no text."""
    return writable(masked_text(text))
