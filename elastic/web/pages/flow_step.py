"""Page of a step of a flow run: figures, the grid of its chunks, stations, workers and bad entries."""

import json
import struct
from typing import Annotated, Any

from fastapi import Path, Query
from starlette.requests import Request
from starlette.responses import Response

from elastic.core.errors import UsageError
from elastic.core.receipts.merkle import SHOWN
from elastic.run_actions import ActionKind, actions_of, output_of, refusal
from elastic.run_views.chunk_cells import COLOURINGS, MAX_CELLS, CellState, ChunkCells, cells_of, spans_of
from elastic.run_views.entry_text import entry_line
from elastic.run_views.letter_groups import own_traceback
from elastic.run_views.open_step import OpenStep
from elastic.run_views.step_view import StepView, step_view
from elastic.web.conditional import conditional
from elastic.web.errors import BadRequest, sentence_of
from elastic.web.pages.flow_requests import GROUPS, step_of
from elastic.web.rendering import render, url_of
from elastic.web.routes import Router
from elastic.web.security.rights import Right
from elastic.web.views import amounts, flow_labels
from elastic.web.views.flow_states import sign_of_cell, sign_of_step

router = Router()

#: Maximum number of rows in the table that replaces the grid.
_MAX_SPANS = 200
#: States of chunks that the table lists one by one.
_UNUSUAL = (CellState.BAD, CellState.RESENT, CellState.REDRIVEN, CellState.DAMAGED, CellState.SENT, CellState.PROCESSED)
_MAX_GROUPS = 12

StepNumber = Annotated[int, Path(ge=0, lt=1 << 31)]
ChunkNumber = Annotated[int, Query(ge=0, lt=1 << 62)]


@router.get("/flows/{run_id}/{step}", requires=Right.READ)
def step_page(
    request: Request,
    run_id: str,
    step: StepNumber,
    by: Annotated[str, Query()] = "state",
    first: Annotated[int, Query(alias="from", ge=0, lt=1 << 62)] = 0,
    stop: Annotated[int | None, Query(alias="to", ge=0, lt=1 << 62)] = None,
) -> Response:
    """Show a step."""
    with step_of(request, run_id, step) as opened:
        view = step_view(opened.reader, opened.record, opened.sign, opened.now)
        cells = _cells(opened, "state", first, stop, MAX_CELLS)
        groups = GROUPS.groups(opened.reader, step, view.letters)
        rows = _rows(cells)
        return render(
            request,
            "flow_step.html",
            run_id=run_id,
            step=step,
            steps=opened.steps,
            view=view,
            record=opened.record,
            damages=[*opened.damages, *_damaged(cells)],
            sign=sign_of_step(opened.record.state),
            state_text=flow_labels.state_text(view, sign_of_step(opened.record.state).label),
            figures=flow_labels.figures_of(view, len(groups.groups)),
            groups=groups,
            max_groups=_MAX_GROUPS,
            root=_root(opened),
            cells=cells,
            rows=rows,
            max_rows=_MAX_SPANS,
            by=by if by in COLOURINGS else "state",
            colourings=COLOURINGS,
            legend=[(value, sign_of_cell(value), count) for value, count in _legend(cells)],
            crumbs=flow_labels.crumbs_of(opened.record, run_id, request.app.state.addresses),
            grid_url=url_of(f"/flows/{run_id}/{step}/cells"),
            here=lambda **changes: url_of(f"/flows/{run_id}/{step}", **changes),
            refusals={kind.value: refusal(kind, opened.record, run_id, view.letters) for kind in ActionKind},
            entry_line=entry_line,
            own_traceback=own_traceback,
            source_line=flow_labels.source_line,
            letter_key=flow_labels.letter_key,
            amounts=amounts,
        )


@router.get("/flows/{run_id}/{step}/cells", requires=Right.READ)
def cells(  # noqa: PLR0913 - the query of the address
    request: Request,
    run_id: str,
    step: StepNumber,
    by: Annotated[str, Query()] = "state",
    first: Annotated[int, Query(alias="from", ge=0, lt=1 << 62)] = 0,
    stop: Annotated[int | None, Query(alias="to", ge=0, lt=1 << 62)] = None,
    limit: Annotated[int, Query(alias="cells", ge=1, le=MAX_CELLS)] = MAX_CELLS,
) -> Response:
    """Return the cells of the grid: the length of a JSON head in four bytes, the head, and one byte for each cell."""
    with step_of(request, run_id, step) as opened:
        view = step_view(opened.reader, opened.record, opened.sign, opened.now)
        found = _cells(opened, by, first, stop, limit)
    sign = sign_of_step(opened.record.state)
    head = {
        "first": found.first,
        "stop": found.stop,
        "total": found.total,
        "per_cell": found.per_cell,
        "by": found.by,
        "legend": found.legend,
        "state": opened.record.state,
        "is_running": view.is_running,
        "has_sign": opened.sign.is_fresh,
        "figures": _live_figures(view, flow_labels.state_text(view, sign.label)),
    }
    packed = json.dumps(head).encode()
    return conditional(request, struct.pack("<I", len(packed)) + packed + found.cells, "application/octet-stream")


def _cells(opened: OpenStep, by: str, first: int, stop: int | None, limit: int) -> ChunkCells:
    try:
        return cells_of(opened.reader, opened.record, opened.sign.view, by=by, span=(first, stop), max_cells=limit)
    except UsageError as error:
        raise BadRequest(sentence_of(error)) from error


def _live_figures(view: StepView, state: str) -> dict[str, str]:
    """Return the strings that the script updates while the step runs, by the name of their element."""
    texts = {"state": state, **{f"station-{name}": f"{count:,}" for name, count in view.stations}}
    for figure in flow_labels.figures_of(view, 0):
        texts[figure.name] = figure.value
        if figure.rest:
            texts[f"{figure.name}-rest"] = figure.rest
        if figure.name != "bad":
            texts[f"{figure.name}-label"] = figure.label
    return texts


def _legend(cells: ChunkCells) -> list[tuple[int, int]]:
    """Return the states that occur, in the order of a chunk's way, with the number of their cells."""
    counts = cells.counts()
    shown = {int(CellState.AGGREGATED), int(CellState.BAD), *counts}
    return [(int(state), counts.get(int(state), 0)) for state in CellState if int(state) in shown]


def _rows(cells: ChunkCells) -> list[tuple[int, int, Any]]:
    """Return the rows of the table that replaces the grid: the spans of unusual chunks."""
    found = spans_of(cells, map(int, _UNUSUAL))
    return [(first, stop, sign_of_cell(value)) for first, stop, value in found[:_MAX_SPANS]]


def _damaged(cells: ChunkCells) -> list[str]:
    return [
        f"The receipts of chunks {first:,} to {stop - 1:,} are damaged. Restore run.sqlite from a backup."
        for first, stop in cells.damaged[:5]
    ]


def _root(opened: OpenStep) -> str:
    """Return the beginning of the root that the last successful verification computed, or an empty string."""
    for action in actions_of(opened.home, opened.run_id):
        if action.kind is ActionKind.VERIFY and action.exit_code == 0:
            output = output_of(opened.home, opened.run_id, action.action_id) or {}
            steps = output.get("steps")
            for one in steps if isinstance(steps, list) else ():
                if isinstance(one, dict) and one.get("step") == opened.number:
                    return str(one.get("root", ""))[:SHOWN]
    return ""
