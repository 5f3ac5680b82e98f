"""Task that starts a run of another DAG, and may wait for its end."""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, ClassVar

from elastic.dag.context import Context
from elastic.dag.errors import SensorError
from elastic.dag.execution.wait import WaitServices
from elastic.dag.timetable.interval import instant_of
from elastic.sensors.sensor import BaseSensor
from elastic.triggers.runs import RunTrigger
from elastic.triggers.trigger import TriggerTools


class TriggerDagRunOperator(BaseSensor):
    """Task that queues a run of another DAG for the scheduler service, and by default waits for its success.

    The id of the run follows from this task and its run, so that a repeated attempt starts no second run. An attempt
    after the run failed starts another one.

    Args:
        trigger_dag_id: The other DAG. Rendered as a template.
        conf: Parameters of the run; strings are rendered as templates.
        logical_date: Logical date of the run, a datetime or an ISO string; by default the present time. Rendered as a
            template.
        wait_for_completion: Wait until the run has ended, deferred, and fail if it failed.
        settings: Settings of `BaseSensor`.
    """

    template_fields: ClassVar[Sequence[str]] = ("trigger_dag_id", "conf", "logical_date")
    ui_color: ClassVar[str] = "#ffefeb"

    def __init__(
        self,
        trigger_dag_id: str,
        *,
        conf: Mapping[str, Any] | None = None,
        logical_date: Any = None,
        wait_for_completion: bool = True,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.trigger_dag_id, self.conf, self.logical_date = trigger_dag_id, dict(conf or {}), logical_date
        self.wait_for_completion = wait_for_completion
        self._run_id = ""

    def execute(self, context: Context) -> Any:
        services = context.get("waiting")
        if services is None:
            raise SensorError(f"task {self.task_id!r} needs the metadata database to start a run.")
        self._run_id = self._started(context, services)
        if not self.wait_for_completion:
            return self._run_id
        super().execute(context)
        return self._run_id

    def trigger(self) -> RunTrigger:
        return RunTrigger(dag_id=self.trigger_dag_id, run_id=self._run_id, failed_states=("failed",))

    def _started(self, context: Context, services: WaitServices) -> str:
        """Return the id of the run, which is started unless an earlier process of this attempt has done so."""
        tools: TriggerTools = services.tools
        digest = hashlib.blake2b(str(context["ti"].key).encode(), digest_size=8).hexdigest()
        names = (f"triggered_{digest}_{number}" for number in count(1))
        latest = ""
        for run_id in names:
            found = tools.runs.run_of_id(self.trigger_dag_id, run_id)
            if found is None:
                break
            latest = run_id
            if found.state != "failed":
                return run_id
        if latest and services.wait is not None:
            # The run that this attempt waits for has failed.
            return latest
        date = None if self.logical_date is None else instant_of(self.logical_date, self.timezone)
        tools.runs.start(self.trigger_dag_id, run_id, date, self.conf)
        self.log.info("started run %s of DAG %r", run_id, self.trigger_dag_id)
        return run_id
