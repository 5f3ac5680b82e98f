"""Failure of an attempt for pages: the last line of the error, the place in the code and the traceback."""

import re
from dataclasses import dataclass
from pathlib import PurePath

from elastic.core.text import lines as visible
from elastic.run_views.letter_groups import OWN_FILES

_PLACE = re.compile(r'^ *File "([^"\n]+)", line (\d+)(?:, in (.+))?$', re.MULTILINE)

#: Maximum number of characters of the last line.
_MAX_LINE = 500


@dataclass(frozen=True, slots=True)
class ShownFailure:
    """Failure of an attempt."""

    #: last line of the error
    line: str
    #: innermost line of user code, `prices.py:14 in to_cents`; empty if the error has no traceback
    place: str
    #: whole error; empty if the error is only the line
    text: str


def failure_of(error: str | None) -> ShownFailure | None:
    """Return the failure of an error, or None if there is no error."""
    text = visible((error or "").strip())
    if not text:
        return None
    *_, line = text.splitlines()
    places = _PLACE.findall(text)
    place = ""
    if places:
        of_users = [place for place in places if not OWN_FILES.search(place[0])]
        path, number, function = (of_users or places)[-1]
        place = f"{PurePath(path).name}:{number}" + (f" in {function}" if function and function != "<module>" else "")
    shown = line[:_MAX_LINE] + ("…" if len(line) > _MAX_LINE else "")
    return ShownFailure(shown.strip(), place, "" if text.strip() == shown.strip() else text)
