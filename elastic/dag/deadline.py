"""Deadlines: times by which a run or a task must have succeeded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from elastic.dag.errors import DefinitionError
from elastic.dag.recipients import recipients_of

#: Times of a run from which a deadline counts.
AFTER = ("queued", "started", "logical_date", "interval_end")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """Time by which a run, or a task of it, must have succeeded. A deadline that passes is reported once.

    Args:
        after: Time of the run from which `within` counts: `queued`, `started`, `logical_date` or `interval_end`.
        within: Length of the time that is left then.
        notify: Recipients of a notification when it has passed: `mailto:` URLs and ids of connections.

    Raises:
        DefinitionError: A value is invalid.
    """

    after: str
    within: timedelta
    notify: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.after not in AFTER:
            raise DefinitionError(f"a Deadline counts after one of {', '.join(AFTER)}, got {self.after!r}.")
        if not isinstance(self.within, timedelta) or self.within < timedelta(0):
            raise DefinitionError(f"within of a Deadline must be a timedelta >= 0, got {self.within!r}.")
        try:
            given = recipients_of(self.notify)
        except (TypeError, ValueError) as error:
            raise DefinitionError(f"notify of a Deadline must be {error}.") from None
        object.__setattr__(self, "notify", given)


def deadlines_of(value: Any) -> tuple[Deadline, ...]:
    """Return a deadline, a list of deadlines or None as a tuple.

    Raises:
        TypeError: There is another value.
    """
    found = () if value is None else (value,) if isinstance(value, Deadline) else value
    if not isinstance(found, list | tuple) or not all(isinstance(one, Deadline) for one in found):
        raise TypeError("a Deadline or a list of them")
    return tuple(found)
