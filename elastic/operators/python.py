"""Tasks that call a function, and a task that does nothing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from elastic.dag.context import Context
from elastic.dag.execution.call_with_context import call_with_context
from elastic.dag.execution.coroutines import check_function
from elastic.dag.operator import BaseOperator


class PythonOperator(BaseOperator):
    """Task that calls a plain or `async` function, and pushes its return value as an XCom.

    Args:
        python_callable: The function. A parameter that is neither in `op_args` nor in `op_kwargs` receives the context
            value of its name: `def load(ds, params)`. One called `context` receives the whole context, `**context` the
            rest.
        op_args: Positional arguments; strings are templates, outputs of tasks become their values.
        op_kwargs: Keyword arguments, with templates and outputs as in `op_args`.
        templates_dict: Additional templates; the function receives them as `templates_dict`.
        settings: Settings of every task.

    Raises:
        DefinitionError: `python_callable` is not callable, or a generator function.
    """

    template_fields: ClassVar[Sequence[str]] = ("op_args", "op_kwargs", "templates_dict")
    ui_color = "#ffefeb"

    def __init__(
        self,
        python_callable: Callable[..., Any],
        op_args: Sequence[Any] = (),
        op_kwargs: Mapping[str, Any] | None = None,
        templates_dict: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        check_function(f"task {self.task_id!r}", "python_callable", python_callable)
        self.python_callable = python_callable
        self.op_args = tuple(op_args)
        self.op_kwargs = dict(op_kwargs or {})
        self.templates_dict = None if templates_dict is None else dict(templates_dict)

    def execute(self, context: Context) -> Any:
        if self.templates_dict is not None:
            context = {**context, "templates_dict": self.templates_dict}
        return call_with_context(self.python_callable, context, self.op_args, self.op_kwargs)


class EmptyOperator(BaseOperator):
    """Task that does nothing: a common point for dependencies."""

    ui_color = "#e8f7e4"

    def execute(self) -> None:
        return None
