"""Page of a chunk: its six receipts, or where it is, and its bad entries."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Path, Query
from starlette.requests import Request
from starlette.responses import Response

from elastic.run_views.chunk_cells import chunks_of
from elastic.run_views.chunk_view import MAX_LETTERS, ChunkView, chunk_view
from elastic.run_views.entry_text import entry_line, entry_text
from elastic.run_views.letter_groups import own_traceback
from elastic.run_views.open_step import OpenStep
from elastic.web.flash import redirect
from elastic.web.pages.flow_requests import MissingError, step_of
from elastic.web.pages.flow_step import StepNumber
from elastic.web.rendering import render
from elastic.web.routes import Router
from elastic.web.security.rights import Right
from elastic.web.views import amounts, flow_labels

router = Router()


@router.get("/flows/{run_id}/{step}/chunks", requires=Right.READ)
def chunk_by_number(
    request: Request, run_id: str, step: StepNumber, chunk: Annotated[int, Query(ge=0, lt=1 << 62)] = 0
) -> Response:
    """Redirect to the chunk with the given number."""
    return redirect(request, f"/flows/{quote(run_id, safe='')}/{step}/chunks/{chunk}")


@router.get("/flows/{run_id}/{step}/chunks/{chunk_id}", requires=Right.READ)
def chunk_page(
    request: Request, run_id: str, step: StepNumber, chunk_id: Annotated[int, Path(ge=0, lt=1 << 62)]
) -> Response:
    """Show a chunk."""
    with step_of(request, run_id, step) as opened:
        view, total = chunk_of(opened, chunk_id)
        first = next((kept.letter for kept in view.letters if kept.letter is not None), None)
        return render(
            request,
            "flow_chunk.html",
            run_id=run_id,
            step=step,
            view=view,
            record=opened.record,
            total=total,
            damages=opened.damages,
            state=_state(view),
            first=first,
            first_text=None if first is None else entry_text(first),
            crumbs=flow_labels.crumbs_of(opened.record, run_id, request.app.state.addresses, (f"chunk {chunk_id}", "")),
            is_limited=len(view.letters) == MAX_LETTERS,
            entry_line=entry_line,
            own_traceback=own_traceback,
            source_line=flow_labels.source_line,
            letter_key=flow_labels.letter_key,
            max_traceback=flow_labels.MAX_TRACEBACK,
            amounts=amounts,
        )


def chunk_of(opened: OpenStep, chunk_id: int) -> tuple[ChunkView, int]:
    """Return a chunk of a step, and the number of all its chunks.

    Raises:
        MissingError: There is no such chunk.
    """
    total = chunks_of(opened.record, opened.sign.view)
    if chunk_id >= total:
        raise _missing(opened, chunk_id, total)
    return chunk_view(opened.reader, opened.record, opened.sign.view, chunk_id), total


def _missing(opened: OpenStep, chunk_id: int, total: int) -> MissingError:
    base = f"/flows/{opened.run_id}/{opened.number}"
    if not total:
        return MissingError(f"Step {opened.number} of run {opened.run_id} has no chunks.", "", [("the step", base)])
    near = [(f"chunk {number}", f"{base}/chunks/{number}") for number in sorted({0, total - 1})]
    return MissingError(
        f"Step {opened.number} of run {opened.run_id} has no chunk {chunk_id}; it has {total:,}, counted from 0.",
        "",
        near,
    )


def _state(view: ChunkView) -> dict[str, Any]:
    """Return the state of the chunk in a few words, with the CSS class of its colour."""
    if view.damage:
        return {"css": "s-failed", "glyph": "⚠", "text": "damaged"}
    still = sum(not kept.is_redriven for kept in view.letters)
    if view.is_aggregated and (still or (view.failed and not view.letters)):
        of = f" of {view.entries:,}" if view.entries is not None else ""
        noun = "entry" if (view.failed or still) == 1 and not of else "entries"
        return {"css": "s-failed", "glyph": "✕", "text": f"{view.failed or still:,}{of} {noun} bad"}
    if view.is_aggregated:
        return {"css": "s-success", "glyph": "✓", "text": "redriven" if view.letters else "aggregated"}
    if view.lost:
        return {"css": "s-up-for-retry", "glyph": "↻", "text": "lost"}
    reached = [station.stage for station in view.stations if station.is_reached]
    return {
        "css": "s-running" if len(reached) > 1 else "s-none",
        "glyph": "▸",
        "text": reached[-1] if reached else "to come",
    }
