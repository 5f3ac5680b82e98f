"""The sandbox in which templates run, and what their failures say."""

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
from elastic.dag.templating.size_limits import Allowance, TemplateOutputTooLongError

#: What methods of these make is allowed for before it is made.
_PLAIN = (str, bytes, int, list, tuple)


class _Code(CodeGenerator):
    """Has texts that are put together, and lists that are written out, go through the allowance."""

    def visit_Concat(self, node: nodes.Concat, frame: Any) -> None:  # noqa: N802 - as Jinja has it
        self.write("environment.joined((")
        for one in node.nodes:
            self.visit(one, frame)
            self.write(", ")
        self.write("))")

    def visit_List(self, node: nodes.List, frame: Any) -> None:  # noqa: N802 - as Jinja has it
        self._visit_kept(super().visit_List, node, frame)

    def visit_Dict(self, node: nodes.Dict, frame: Any) -> None:  # noqa: N802 - as Jinja has it
        self._visit_kept(super().visit_Dict, node, frame)

    def visit_Tuple(self, node: nodes.Tuple, frame: Any) -> None:  # noqa: N802 - as Jinja has it
        if node.ctx == "load":
            self._visit_kept(super().visit_Tuple, node, frame)
        else:
            super().visit_Tuple(node, frame)

    def _visit_kept(self, visit: Callable[[Any, Any], None], node: nodes.Node, frame: Any) -> None:
        self.write("environment.kept(")
        visit(node, frame)
        self.write(")")


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja without private attributes, without changes to what it sees, and without what fills the memory."""

    intercepted_binops = frozenset(("**", "*", "%", "+"))
    code_generator_class = _Code

    def __init__(self, allowance: Allowance, **settings: Any) -> None:
        super().__init__(**settings)
        self._allowance = allowance
        #: called by the code of templates
        self.joined, self.kept = allowance.joined, allowance.kept
        # Blocks, macros and `{% set %}` join their parts with this.
        self.concat = allowance.joined  # type: ignore[method-assign]
        self.filters = {name: _narrow(name, one, allowance) for name, one in self.filters.items()}

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "%" and isinstance(left, str | bytes):
            raise SecurityError("the formatting of text by % is not open to templates; use ~ or the filter round")
        self._allowance.operation(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as Jinja has it
        owner, name = getattr(__obj, "__self__", None), getattr(__obj, "__name__", "")
        if not isinstance(owner, _PLAIN) and not (isinstance(owner, type) and issubclass(owner, _PLAIN)):
            made = super().call(__context, __obj, *args, **kwargs)
            return __self.kept(made) if __obj is dict or owner is dict else made
        if name in ("translate", "maketrans"):
            raise SecurityError(f"{name} is not open to templates; use replace")
        if name == "join" and isinstance(owner, str) and len(args) == 1:
            return __self._allowance.joined(args[0], owner)
        __self._allowance.method(name, owner, [*args, *kwargs.values()])
        return __self.kept(super().call(__context, __obj, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        made = super().wrap_str_format(value)
        if made is None:
            return None

        def narrow(*args: Any, **kwargs: Any) -> str:
            by_name = args[0] if args and isinstance(args[0], Mapping) else kwargs
            self._allowance.formatted(value.__self__, [*args, *by_name.values()])
            return made(*args, **kwargs)

        return narrow


class _Namespace(jinja2.utils.Namespace):
    """Does not show what it holds: of namespaces in each other the text doubles with each level."""

    def __repr__(self) -> str:
        return "<namespace>"


class UndefinedVariable(jinja2.StrictUndefined):
    """A name that is not there; any use of it is an error, to print it in a list as well."""

    def __repr__(self) -> str:
        return self._fail_with_undefined_error()

    @property
    def _undefined_message(self) -> str:
        if isinstance(self._undefined_obj, ReadOnlyView) and not self._undefined_hint:
            return f"{self._undefined_obj} has no {self._undefined_name!r}"
        return str(super()._undefined_message)


def environment(folders: Sequence[Path], allowance: Allowance) -> Sandbox:
    """Return a sandbox whose files lie below some folders, and which makes no more than it is allowed to."""
    sandbox = Sandbox(
        allowance,
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
        where = "beside the file of the DAG and in its template_searchpath"
        return _place_of(error), f"there is no file {error.name!r}; templates are looked for {where}"
    return _place_of(error), _reason(error)


def _place_of(error: Exception) -> str:
    # Jinja puts the lines of the template into the traceback in place of those of its own code.
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


def _narrow(name: str, made: Callable[..., Any], allowance: Allowance) -> Callable[..., Any]:
    """Return a filter that refuses to make more than anybody wants to have."""

    @wraps(made)
    def narrow(*arguments: Any, **named: Any) -> Any:
        # The first may be the context or the environment, which Jinja gives to filters that ask for it.
        at = 1 if hasattr(made, "jinja_pass_arg") else 0
        value: Any = arguments[at] if len(arguments) > at else None
        given = [*arguments[at + 1 :], *named.values()]
        if name == "join":
            value = [*value]
            allowance.take(sum(len(str(one)) for one in value) + len(value) * max(map(_length, given), default=0))
            arguments = (*arguments[:at], value, *arguments[at + 1 :])
        elif name == "format":
            allowance.formatted(str(value), given)
        allowance.filter(name, value, given)
        return allowance.kept(made(*arguments, **named))

    return narrow


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str) else 0
