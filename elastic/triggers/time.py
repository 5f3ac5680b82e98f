"""Trigger of an instant."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from elastic.dag.execution.wait import Answer
from elastic.triggers.trigger import Trigger, TriggerTools


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeTrigger(Trigger):
    """Holds from an instant on."""

    kind: ClassVar[str] = "time"
    is_instant: ClassVar[bool] = True
    #: ISO string with an offset
    at: str

    def check(self, tools: TriggerTools) -> Answer:
        at = datetime.fromisoformat(self.at)
        left = (at - tools.now()).total_seconds()
        if left <= 0:
            return Answer(done=True, reason=f"it is {at:%Y-%m-%d %H:%M:%S %Z}")
        return Answer(done=False, reason=f"it is not {at:%Y-%m-%d %H:%M:%S %Z} yet", check_in=left)
