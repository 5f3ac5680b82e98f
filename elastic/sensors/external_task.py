"""Sensor of the runs of another DAG."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from elastic.dag.context import Context
from elastic.dag.execution.call_with_context import call_with_context
from elastic.dag.states.state import RunState, TaskState
from elastic.dag.timetable.interval import instant_of
from elastic.sensors.sensor import BaseSensor
from elastic.triggers.runs import RunTrigger

#: States that fail a sensor that does not wait for them.
_FAILED_STATES = ("failed", "upstream_failed", "removed")


class ExternalTaskSensor(BaseSensor):
    """Sensor that waits for a task of another DAG, or for its whole run, on the same logical date.

    An unknown DAG or task fails the sensor at the first check. A run that does not exist yet is waited for.

    Args:
        external_dag_id: The other DAG. Rendered as a template.
        external_task_id: A task of it, or a list of tasks; None for the whole run. Rendered as a template.
        delta: Time by which the logical date of the other run is earlier, a timedelta; or a function of the context
            that returns the logical date.
        states: States that are waited for.
        failed_states: States that fail the sensor; by default `failed`, `upstream_failed` and `removed`, except those
            that are waited for.
        settings: Settings of `BaseSensor`.
    """

    template_fields: ClassVar[Sequence[str]] = ("external_dag_id", "external_task_id")

    def __init__(
        self,
        external_dag_id: str,
        external_task_id: str | Sequence[str] | None = None,
        *,
        delta: timedelta | Callable[..., datetime] | None = None,
        states: Sequence[str] = ("success",),
        failed_states: Sequence[str] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.external_dag_id = external_dag_id
        self.external_task_id = external_task_id
        if external_task_id is not None and not external_task_id:
            self._refuse("external_task_id", "a task, a list of tasks, or None for the whole run", external_task_id)
        if delta is not None and not isinstance(delta, timedelta) and not callable(delta):
            self._refuse("delta", "a timedelta or a function", delta)
        self.delta = delta
        self.states = self._states("states", states)
        if failed_states is None:
            self.failed_states = tuple(one for one in _FAILED_STATES if one not in self.states)
        else:
            self.failed_states = self._states("failed_states", failed_states)
        both = [one for one in self.states if one in self.failed_states]
        if both:
            self._refuse("failed_states", "without the states that are waited for", both[0])

    def _states(self, name: str, given: Sequence[str]) -> tuple[str, ...]:
        found = tuple(given) if isinstance(given, list | tuple | set | frozenset) else (given,)
        known = {*TaskState, *RunState}
        wrong = [one for one in found if isinstance(given, str) or one not in known]
        if wrong:
            self._refuse(name, "a list of states", wrong[0])
        return tuple(map(str, found))

    def trigger(self, context: Context) -> RunTrigger:
        tasks = self.external_task_id
        date = context["logical_date"]
        if isinstance(self.delta, timedelta):
            date = date - self.delta
        elif self.delta is not None:
            date = call_with_context(self.delta, context)
        return RunTrigger(
            dag_id=self.external_dag_id,
            task_ids=() if tasks is None else (tasks,) if isinstance(tasks, str) else tuple(tasks),
            logical_date=instant_of(date, self.timezone).isoformat(),
            states=self.states,
            failed_states=self.failed_states,
        )
