"""Tasks that run an Elastic flow: a whole distributed step as one node of a DAG."""

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

#: What a task says of a result, if nobody else says more of it.
_FACTS = ("run_id", "state", "entries", "chunks", "errors", "root", "seconds")


class FlowOperator(BaseOperator):
    """Runs a flow. The id of its run is kept on the task instance, and a retry resumes that run.

    What was folded into the result before a crash stays there: the retry goes on where the flow stood.

    Args:
        flow: A flow or step; a target, `file.py:attr` or `module:attr`; or a function that returns a flow or step,
            whose parameters are filled by name from the context: `def words(ds): return read_text(f"{ds}/*.txt")`.
        on_result: Called with the result (as `result`) and what else it names of the context; what it returns is
            passed on to later tasks. By default that is a dict of what was run: run_id, entries, chunks, root...
        options: Options of the flow's run, such as `{"cluster": "local", "workers": 2}`.
        allow_code_change: A retry resumes the run even though functions were changed meanwhile.
        settings: What every task takes.
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
        result = self._resumed(step, context) or self._begun(step, context)
        self.log.info("%s", result)
        if self.on_result is not None:
            return call_with_context(self.on_result, {**context, "result": result})
        return {name: getattr(result, name) for name in _FACTS}

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
                f"task {self.task_id!r} needs a Flow, a Step, a target or a function that returns one, "
                f"not {type(found).__name__}."
            )
        return found.with_options(**self.options)

    def _begun(self, step: "Step", context: Context) -> "Result":
        """Run the step as a run of its own, whose id is kept before anything of it is done."""
        from elastic.engine.run import FlowRun

        options = step.options
        run = FlowRun.create(options.home, options.chunk_store, persist=options.persist)
        try:
            master = run.master(0, step, metadata={"task": str(context["ti"].key)})
            if "flow_runs" in context and options.persist:
                context["flow_runs"].keep(run.run_id)
            self.log.info("the flow runs as %s", run.run_id)
            return master.run().check()
        finally:
            run.close()

    def _resumed(self, step: "Step", context: Context) -> "Result | None":
        """Go on with the run of an earlier try; None if there is nothing to go on with."""
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
            self.log.info("the flow of the try before (%s) is not there any more; it begins anew", earlier)
            return None
        except (StoreError, UsageError) as error:
            self.log.warning("the flow of the try before cannot be gone on with (%s); it begins anew", error)
            return None
        if _is_complete(record.state):
            self.log.info("the flow of the try before (%s) was complete", earlier)
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
