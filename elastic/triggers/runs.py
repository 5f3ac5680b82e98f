"""Trigger of the end of a run, or of some of its tasks."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from elastic.dag.errors import SensorError
from elastic.dag.execution.wait import Answer
from elastic.triggers.trigger import FoundRun, Trigger, TriggerTools


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTrigger(Trigger):
    """Holds once a run, or each of some of its tasks, is in one of some states."""

    kind: ClassVar[str] = "run"
    dag_id: str
    #: tasks to wait for; empty for the run itself
    task_ids: tuple[str, ...] | list[str] = ()
    #: the run: by its logical date (ISO string with an offset), or by its id
    logical_date: str | None = None
    run_id: str | None = None
    #: states in which the wait ends well, and states in which it fails
    states: tuple[str, ...] | list[str] = ("success",)
    failed_states: tuple[str, ...] | list[str] = ("failed", "upstream_failed", "removed")

    def check(self, tools: TriggerTools) -> Answer:
        problem = tools.runs.problem_of(self.dag_id, list(self.task_ids))
        if problem:
            raise SensorError(problem)
        run = self._run(tools)
        if run is None:
            return Answer(done=False, reason=self._absence(tools))
        reasons = []
        for name, states in self._states(tools, run):
            failed = next((one for one in states if one in self.failed_states), None)
            if failed is not None:
                raise SensorError(f"{name} is {failed}, which is one of failed_states.")
            waiting = next((one or "not decided" for one in states if one not in self.states), None)
            if waiting is not None or not states:
                reasons.append(f"{name} is {waiting or 'not there yet'}")
        if reasons:
            return Answer(done=False, reason="; ".join(reasons[:3]))
        return Answer(done=True, reason=f"run {run.run_id} of DAG {self.dag_id!r} is as expected")

    def _run(self, tools: TriggerTools) -> FoundRun | None:
        if self.run_id is not None:
            return tools.runs.run_of_id(self.dag_id, self.run_id)
        return tools.runs.run_at(self.dag_id, datetime.fromisoformat(self.logical_date or ""))

    def _states(self, tools: TriggerTools, run: FoundRun) -> list[tuple[str, list[str | None]]]:
        if not self.task_ids:
            return [(f"run {run.run_id} of DAG {self.dag_id!r}", [run.state])]
        found = []
        for task_id in self.task_ids:
            states = tools.runs.task_states(self.dag_id, run.run_id, task_id)
            found.append((f"task {task_id!r} of run {run.run_id} of DAG {self.dag_id!r}", states))
        return found

    def _absence(self, tools: TriggerTools) -> str:
        if self.run_id is not None:
            return f"DAG {self.dag_id!r} has no run {self.run_id!r}"
        date = datetime.fromisoformat(self.logical_date or "")
        near = [f"{one.logical_date:%Y-%m-%d %H:%M}" for one in tools.runs.nearest_runs(self.dag_id, date)]
        nearest = f"; nearest: {' and '.join(near)} (give delta=)" if near else ""
        return f"DAG {self.dag_id!r} has no run for {date:%Y-%m-%d %H:%M} UTC{nearest}"
