"""Jinja sandbox for templates, and explanations of template errors."""

import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.compiler import CodeGenerator
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range

from elastic.dag.errors import LookupFailedError
from elastic.dag.templating.read_only import ReadOnlyView
from elastic.dag.templating.size_limits import SizeBudget, TemplateOutputTooLongError

#: Types whose methods are checked against the size limit before they run.
_LIMITED_TYPES = (str, bytes, int, list, tuple)


class _LimitedCodeGenerator(CodeGenerator):
    """Code generator that passes concatenations and literal collections through the size budget."""

    def visit_Concat(self, node: nodes.Concat, frame: Any) -> None:  # noqa: N802 - name given by Jinja
        self.write("environment.join_limited((")
        for one in node.nodes:
            self.visit(one, frame)
            self.write(", ")
        self.write("))")

    def visit_List(self, node: nodes.List, frame: Any) -> None:  # noqa: N802 - name given by Jinja
        self._visit_counted(super().visit_List, node, frame)

    def visit_Dict(self, node: nodes.Dict, frame: Any) -> None:  # noqa: N802 - name given by Jinja
        self._visit_counted(super().visit_Dict, node, frame)

    def visit_Tuple(self, node: nodes.Tuple, frame: Any) -> None:  # noqa: N802 - name given by Jinja
        if node.ctx == "load":
            self._visit_counted(super().visit_Tuple, node, frame)
        else:
            super().visit_Tuple(node, frame)

    def _visit_counted(self, visit: Callable[[Any, Any], None], node: nodes.Node, frame: Any) -> None:
        self.write("environment.counted(")
        visit(node, frame)
        self.write(")")


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja environment without private attributes, mutation of values, or results that fill the memory."""

    intercepted_binops = frozenset(("**", "*", "%", "+"))
    code_generator_class = _LimitedCodeGenerator

    def __init__(self, budget: SizeBudget, **settings: Any) -> None:
        super().__init__(**settings)
        self._budget = budget
        #: called by the generated code of templates
        self.join_limited, self.counted = budget.join, budget.counted
        # Jinja joins the parts of blocks, macros and `{% set %}` with this.
        self.concat = budget.join  # type: ignore[method-assign]
        self.filters = {name: _limited_filter(name, one, budget) for name, one in self.filters.items()}

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "%" and isinstance(left, str | bytes):
            raise SecurityError("string formatting by % is not allowed in templates. Use ~ or the filter round")
        self._budget.check_operation(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - names given by Jinja
        owner, name = getattr(__obj, "__self__", None), getattr(__obj, "__name__", "")
        if not isinstance(owner, _LIMITED_TYPES) and not (
            isinstance(owner, type) and issubclass(owner, _LIMITED_TYPES)
        ):
            made = super().call(__context, __obj, *args, **kwargs)
            return __self.counted(made) if __obj is dict or owner is dict else made
        if name in ("translate", "maketrans"):
            raise SecurityError(f"{name} is not allowed in templates. Use replace")
        if name == "join" and isinstance(owner, str) and len(args) == 1:
            return __self._budget.join(args[0], owner)
        __self._budget.check_method(name, owner, [*args, *kwargs.values()])
        return __self.counted(super().call(__context, __obj, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        made = super().wrap_str_format(value)
        if made is None:
            return None

        def limited(*args: Any, **kwargs: Any) -> str:
            by_name = args[0] if args and isinstance(args[0], Mapping) else kwargs
            self._budget.check_format(value.__self__, [*args, *by_name.values()])
            return made(*args, **kwargs)

        return limited


class _Namespace(jinja2.utils.Namespace):
    """Namespace with a constant repr: that of nested namespaces would double in size with each level."""

    def __repr__(self) -> str:
        return "<namespace>"


class UndefinedVariable(jinja2.StrictUndefined):
    """Undefined name; any use of it is an error, also its repr within a list."""

    def __repr__(self) -> str:
        return self._fail_with_undefined_error()

    @property
    def _undefined_message(self) -> str:
        if isinstance(self._undefined_obj, ReadOnlyView) and not self._undefined_hint:
            return f"{self._undefined_obj} has no {self._undefined_name!r}"
        return str(super()._undefined_message)


def environment(folders: Sequence[Path], budget: SizeBudget) -> Sandbox:
    """Return a sandbox that loads files from some folders and respects a size budget."""
    sandbox = Sandbox(
        budget,
        loader=jinja2.FileSystemLoader([os.fspath(folder) for folder in folders]),
        undefined=UndefinedVariable,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    sandbox.globals = {"range": safe_range, "dict": dict, "namespace": _Namespace}
    return sandbox


def explain(error: Exception) -> tuple[str, str]:
    """Return where a template failed, as `<file>:<line>` or `line <line>`, and why."""
    if isinstance(error, jinja2.TemplateSyntaxError):
        return _place(error.filename, error.lineno), str(error.message).rstrip(".")
    if isinstance(error, jinja2.TemplateNotFound):
        where = "in the folder of the DAG file and in template_searchpath"
        return _place_of(error), f"there is no file {error.name!r} {where}"
    return _place_of(error), _reason(error)


def _place_of(error: Exception) -> str:
    # Jinja replaces the lines of its generated code in the traceback with those of the template.
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.endswith(".py")]
    return _place(frames[-1].filename, frames[-1].lineno) if frames else "line 1"


def _place(filename: str | None, line: int | None) -> str:
    if filename is None or filename == "<template>":
        return f"line {line}"
    return f"{filename}:{line}"


def _reason(error: Exception) -> str:
    if isinstance(error, jinja2.TemplateError | TemplateOutputTooLongError | LookupFailedError):
        return str(error).rstrip(".")
    return f"{type(error).__name__}: {error}".rstrip(".")


def _limited_filter(name: str, made: Callable[..., Any], budget: SizeBudget) -> Callable[..., Any]:
    """Return a filter that checks the size of its result."""

    @wraps(made)
    def limited(*arguments: Any, **named: Any) -> Any:
        # The first argument may be the context or the environment, if the filter declares that.
        at = 1 if hasattr(made, "jinja_pass_arg") else 0
        value: Any = arguments[at] if len(arguments) > at else None
        given = [*arguments[at + 1 :], *named.values()]
        if name == "join":
            value = [*value]
            budget.spend(sum(len(str(one)) for one in value) + len(value) * max(map(_length, given), default=0))
            arguments = (*arguments[:at], value, *arguments[at + 1 :])
        elif name == "format":
            budget.check_format(str(value), given)
        budget.check_filter(name, value, given)
        return budget.counted(made(*arguments, **named))

    return limited


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str) else 0
