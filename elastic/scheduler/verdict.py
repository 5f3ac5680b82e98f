"""Answers to one question: may this task instance run now?"""

from dataclasses import dataclass

from elastic.dag.trigger_rule import Decision


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one condition says."""

    #: the name of the condition
    condition: str
    met: bool
    #: one sentence
    reason: str
    #: what follows if it is not met: most conditions may be met later
    decision: Decision = Decision.WAIT
    #: no other task can meet it: it stays unmet until a user changes a setting
    is_lasting: bool = False

    def __str__(self) -> str:
        return f"{self.condition}: {self.reason}"
