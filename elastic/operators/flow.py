"""Tasks that run an Elastic flow: a distributed step as one node of a DAG."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from elastic.core.errors import StoreError, UnknownRunError, UsageError
from elastic.dag.context import Context
from elastic.dag.execution.call_with_context import call_with_context
from elastic.dag.execution.coroutines import check_not_generator
from elastic.dag.operator import BaseOperator

if TYPE_CHECKING:
    from elastic.engine.result import Result
    from elastic.engine.step import Step
    from elastic.flow.flow import Flow

#: Attributes of the result that the task returns by default.
_RESULT_FIELDS = ("run_id", "state", "entries", "chunks", "errors", "root", "seconds")


class FlowOperator(BaseOperator):
    """Task that runs a flow. The task instance stores the run id, so a retry resumes the run.

    A retry does not repeat work that was committed before a crash.

    Args:
        flow: A flow or step; a target, `file.py:attr` or `module:attr`; or a function that returns a flow or step. The
            parameters of the function are filled by name from the context:
            `def words(ds): return read_text(f"{ds}/*.txt")`.
        on_result: Called with the result (as `result`) and the context values that it names. Later tasks receive its
            return value; by default a dict with run_id, entries, chunks, root and more.
        options: Options of the flow run, such as `{"cluster": "local", "workers": 2}`.
        allow_code_change: Let a retry resume the run even if functions have changed.
        settings: Settings of every task.
    """

    template_fields: ClassVar[Sequence[str]] = ("options",)
    ui_color = "#e0f0ff"

    def __init__(
        self,
        flow: "Flow | Step | str | Callable[..., Any]",
        *,
        on_result: Callable[..., Any] | None = None,
        options: Mapping[str, Any] | None = None,
        allow_code_change: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        for setting, function in (("flow", flow), ("on_result", on_result)):
            check_not_generator(f"task {self.task_id!r}", setting, function)
        self.flow = flow
        self.on_result = on_result
        self.options = dict(options or {})
        self.allow_code_change = allow_code_change

    def execute(self, context: Context) -> Any:
        step = self._step(context)
        result = self._resume(step, context) or self._start(step, context)
        self.log.info("%s", result)
        if self.on_result is not None:
            return call_with_context(self.on_result, {**context, "result": result})
        return {name: getattr(result, name) for name in _RESULT_FIELDS}

    def _step(self, context: Context) -> "Step":
        from elastic.engine.step import Step
        from elastic.flow.flow import Flow
        from elastic.flow.loader import step_at

        found: Any = self.flow
        if isinstance(found, str):
            found = step_at(found)
        elif callable(found) and not isinstance(found, Flow | Step):
            found = call_with_context(found, context)
        if isinstance(found, Flow):
            found = found.step()
        if not isinstance(found, Step):
            raise UsageError(
                f"task {self.task_id!r}: flow must be a Flow, a Step, a target or a function that returns one, "
                f"got {type(found).__name__}."
            )
        return found.with_options(**self.options)

    def _start(self, step: "Step", context: Context) -> "Result":
        """Start a new run. Its id is stored before the run does any work."""
        from elastic.engine.run import FlowRun

        options = step.options
        run = FlowRun.create(options.home, options.chunk_store, persist=options.persist)
        try:
            key = context["ti"].key
            of_task = [key.dag_id, key.run_id, key.task_id, key.map_index]
            master = run.master(0, step, metadata={"task": str(key), "task_instance": of_task})
            if "flow_runs" in context and options.persist:
                context["flow_runs"].keep(run.run_id)
            self.log.info("the flow runs as %s", run.run_id)
            return master.run().check()
        finally:
            run.close()

    def _resume(self, step: "Step", context: Context) -> "Result | None":
        """Resume the run of an earlier attempt. Return None if there is no run to resume."""
        from elastic.engine.run import FlowRun, home_at
        from elastic.recovery.redrive import result_of
        from elastic.recovery.resume import Resumption
        from elastic.run_history import RunHistory

        earlier = context["flow_runs"].earlier if "flow_runs" in context else None
        if earlier is None:
            return None
        try:
            record = RunHistory(home_at(step.options.home)).record(earlier, 0)
        except UnknownRunError:
            self.log.info("run %s of the previous attempt no longer exists; the flow starts again", earlier)
            return None
        except (StoreError, UsageError) as error:
            self.log.warning("the run of the previous attempt cannot be resumed (%s); the flow starts again", error)
            return None
        if _is_complete(record.state):
            self.log.info("run %s of the previous attempt was complete", earlier)
            return result_of(earlier, step, home=step.options.home).check()
        run = FlowRun.open(step.options.home, earlier)
        try:
            resumption = Resumption.of(run, 0, step, allow_code_change=self.allow_code_change)
            self.log.info("%s", resumption)
            return resumption.run().check()
        finally:
            run.close()


def _is_complete(state: str) -> bool:
    from elastic.core.model.step import StepState

    return StepState(state).is_complete
