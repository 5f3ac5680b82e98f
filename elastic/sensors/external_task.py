"""Sensor of the runs of another DAG."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from elastic.dag.context import Context
from elastic.dag.errors import DefinitionError
from elastic.dag.execution.call_with_context import call_with_context
from elastic.dag.states.state import RunState, TaskState
from elastic.dag.timetable.interval import instant_of
from elastic.sensors.sensor import BaseSensor
from elastic.triggers.runs import RunTrigger


class ExternalTaskSensor(BaseSensor):
    """Sensor that waits for a task of another DAG, or for its whole run, on the same logical date.

    An unknown DAG or task fails the sensor at the first check. A run that does not exist yet is waited for.

    Args:
        external_dag_id: The other DAG. Rendered as a template.
        external_task_id: A task of it, or a list of tasks; None for the whole run. Rendered as a template.
        delta: Time by which the logical date of the other run is earlier, a timedelta; or a function of the context
            that returns the logical date.
        states: States that are waited for.
        failed_states: States that fail the sensor.
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
        failed_states: Sequence[str] = ("failed", "upstream_failed", "removed"),
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.external_dag_id = external_dag_id
        self.external_task_id = external_task_id
        self.delta = delta
        known = {*TaskState, *RunState}
        for name, found in (("states", states), ("failed_states", failed_states)):
            wrong = [found] if isinstance(found, str) else [one for one in found if one not in known]
            if wrong:
                raise DefinitionError(
                    f"ExternalTaskSensor {self.task_id!r}: {name} must be a list of states, got {wrong[0]!r}."
                )
        self.states, self.failed_states = tuple(map(str, states)), tuple(map(str, failed_states))

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
