"""Trigger of a SQL query."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from elastic.dag.execution.wait import Answer
from elastic.triggers.trigger import Trigger, TriggerTools


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlTrigger(Trigger):
    """Holds once the first cell of a query is neither 0, '0', '' nor NULL. Without a row, it does not hold."""

    kind: ClassVar[str] = "sql"
    sql: str
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def check(self, tools: TriggerTools) -> Answer:
        from elastic.hooks.sql.hook import SqlHook

        row = tools.client(self.connection or "", SqlHook).get_first(self.sql, self.parameters or None)
        if row is None:
            return Answer(done=False, reason="the query returns no row")
        if is_not_yet(row[0]):
            return Answer(done=False, reason=f"the first cell of the query is {_shown(row[0])}")
        return Answer(done=True, reason=f"the first cell of the query is {_shown(row[0])}")


def is_not_yet(cell: Any) -> bool:
    """Return whether a cell means that a condition does not hold: NULL, a zero, '0' or an empty string."""
    if isinstance(cell, str):
        return cell in ("", "0")
    return cell is None or cell == 0


def _shown(cell: Any) -> str:
    text = "NULL" if cell is None else repr(cell)
    return text if len(text) <= 60 else f"{text[:57]}..."
