"""What came of a range of runs."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from elastic.dag.key import TaskKey
from elastic.dag.state import RunState, TaskState


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How many task instances are in which state, and how the runs ended."""

    dag_id: str
    #: by run id
    runs: Mapping[str, RunState]
    states: Mapping[TaskKey, TaskState | None]
    #: why instances failed, in a line each, for the first of them
    reasons: Mapping[TaskKey, str] = field(default_factory=dict)
    #: attempts that were made
    attempts: int = 0
    #: what waits for what will never come, in sentences
    stuck: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Instances by state; `none` for those that nothing was decided about."""
        counted = Counter("none" if state is None else str(state) for state in self.states.values())
        return dict(sorted(counted.items()))

    @property
    def succeeded(self) -> bool:
        """All runs ended well."""
        return all(state is RunState.SUCCESS for state in self.runs.values())

    @property
    def failed(self) -> list[TaskKey]:
        """What failed by itself."""
        return [key for key, state in self.states.items() if state is TaskState.FAILED]

    def __str__(self) -> str:
        lines = ["Run summary:"]
        lines += [f"  {state}: {count}" for state, count in self.counts.items()]
        ended = Counter(map(str, self.runs.values()))
        lines.append(f"  runs: {', '.join(f'{count} {state}' for state, count in sorted(ended.items())) or 'none'}")
        for key in self.failed[:20]:
            reason = self.reasons.get(key)
            lines.append(f"  failed: {key}" + (f": {reason}" if reason else ""))
        lines += [f"  waits: {reason}" for reason in self.stuck[:20]]
        return "\n".join(lines)
