"""Pages of dead letters: the list, and one dead letter with its entry and traceback."""

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from elastic.persistence.run_store.inspection import KeptLetter
from elastic.run_views.entry_text import entry_line, entry_text
from elastic.run_views.letter_groups import group_of, key_of, letters_in_group, own_traceback
from elastic.run_views.open_step import OpenStep
from elastic.web.errors import BadRequest
from elastic.web.pages.flow_requests import GROUPS, MissingError, step_of
from elastic.web.pages.flow_step import StepNumber
from elastic.web.rendering import render, url_of
from elastic.web.routes import Router
from elastic.web.security.rights import Right
from elastic.web.views import amounts, flow_labels

router = Router()

#: Dead letters on a page.
_PAGE = 50
#: Maximum size of a dead letter that is shown (bytes); for a larger one, the page shows only its size.
_MAX_LETTER_BYTES = 64 << 20


@router.get("/flows/{run_id}/{step}/letters", requires=Right.READ)
def letters_page(
    request: Request,
    run_id: str,
    step: StepNumber,
    error: Annotated[str, Query(max_length=40)] = "",
    after: Annotated[str, Query(max_length=60)] = "",
) -> Response:
    """Show the dead letters of one kind, or all."""
    begin = flow_labels.letter_place(after) if after else (-1, -1)
    if begin is None:
        raise BadRequest(f"{after!r} is not the position of a dead letter.", "Open the first page.")
    with step_of(request, run_id, step) as opened:
        counts = opened.reader.snapshot(step)
        groups = GROUPS.groups(opened.reader, step, counts.letters - counts.redriven)
        page, last = letters_in_group(opened.reader, step, error or None, after=begin, limit=_PAGE)
        base = f"/flows/{run_id}/{step}/letters"
        next_url = url_of(base, error=error, after=f"{last[0]}-{'chunk' if last[1] < 0 else last[1]}") if last else ""
        return render(
            request,
            "flow_letters.html",
            run_id=run_id,
            step=step,
            record=opened.record,
            damages=opened.damages,
            groups=groups,
            error=error,
            chosen=next((group for group in groups.groups if group.key == error), None),
            page=page,
            redriven=counts.redriven,
            next_url=next_url,
            first_url=url_of(base, error=error) if after else "",
            here=lambda **changes: url_of(base, **changes),
            crumbs=flow_labels.crumbs_of(opened.record, run_id, request.app.state.addresses, ("bad entries", "")),
            group_of=group_of,
            entry_line=entry_line,
            letter_key=flow_labels.letter_key,
            amounts=amounts,
        )


@router.get("/flows/{run_id}/{step}/letters/{key}", requires=Right.READ)
def letter_page(
    request: Request, run_id: str, step: StepNumber, key: str, shown: Annotated[str, Query(alias="as")] = "text"
) -> Response:
    """Show a dead letter: the entry as text or as bytes, the error and its traceback."""
    with step_of(request, run_id, step) as opened:
        kept = letter_of(opened, key)
        letter = kept.letter
        group = key_of(group_of(kept))
        following, _ = letters_in_group(opened.reader, step, group, after=_place(kept), limit=1)
        base = f"/flows/{run_id}/{step}"
        which = f"chunk {kept.chunk_id}" if kept.index is None else f"entry {kept.index}"
        below = [(f"chunk {kept.chunk_id}", f"{base}/chunks/{kept.chunk_id}"), (which, "")]
        return render(
            request,
            "flow_letter.html",
            run_id=run_id,
            step=step,
            record=opened.record,
            damages=opened.damages,
            kept=kept,
            letter=letter,
            which=which,
            text=None if letter is None else entry_text(letter),
            as_hex=shown == "hex",
            own_traceback=own_traceback,
            line=None if letter is None else flow_labels.source_line(letter),
            max_traceback=flow_labels.MAX_TRACEBACK,
            max_message=flow_labels.MAX_MESSAGE,
            group_url=url_of(f"{base}/letters", error=group),
            next_url=f"{base}/letters/{flow_labels.letter_key(following[0].chunk_id, following[0].index)}"
            if following
            else "",
            here=lambda **changes: url_of(f"{base}/letters/{key}", **changes),
            crumbs=flow_labels.crumbs_of(opened.record, run_id, request.app.state.addresses, *below),
            amounts=amounts,
        )


def letter_of(opened: OpenStep, key: str) -> KeptLetter:
    """Return the dead letter with a key.

    Raises:
        MissingError: There is none.
    """
    place = flow_labels.letter_place(key)
    base = f"/flows/{opened.run_id}/{opened.number}"
    if place is not None:
        chunk_id, entry = place
        found = opened.reader.kept_letters(
            opened.number,
            after=(chunk_id, entry - 1),
            stop=chunk_id + 1,
            limit=1,
            max_bytes=_MAX_LETTER_BYTES,
            redriven=True,
        )
        if found and found[0].index == (None if entry < 0 else entry):
            return found[0]
        near = opened.reader.kept_letters(
            opened.number, after=(chunk_id - 1, 1 << 62), limit=5, max_bytes=0, redriven=True
        )
    else:
        near = opened.reader.kept_letters(opened.number, limit=5, max_bytes=0, redriven=True)
    names = [flow_labels.letter_key(kept.chunk_id, kept.index) for kept in near]
    raise MissingError(
        f"Step {opened.number} of run {opened.run_id} has no dead letter {key[:60]!r}.",
        "" if names else "None of its entries is a dead letter.",
        [(name, f"{base}/letters/{name}") for name in names] or [("the step", base)],
    )


def _place(kept: KeptLetter) -> tuple[int, int]:
    return kept.chunk_id, -1 if kept.index is None else kept.index
