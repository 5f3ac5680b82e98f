"""The sandbox in which templates run, and what their failures say."""

import os
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jinja2
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range

from elastic.dag.errors import LookupFailedError
from elastic.dag.view import View

#: How long a text or list may become by multiplying it, and how many bits a number by raising it.
_LARGEST = 1_000_000


class TooLongError(ValueError):
    """A template makes more than anybody wants to have."""


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja without private attributes, without changes to what it sees, and without numbers that fill the memory."""

    intercepted_binops = frozenset(("**", "*", "%"))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and _bits(left) * abs(_number(right)) > _LARGEST:
            raise TooLongError("the power is too large")
        if operator == "*" and max(_length(left) * abs(_number(right)), _length(right) * abs(_number(left))) > _LARGEST:
            raise TooLongError("the repetition is too long")
        if operator == "%" and isinstance(left, str | bytes):
            raise SecurityError("the formatting of text by % is not open to templates; use ~ or the filter round")
        return super().call_binop(context, operator, left, right)


class Missing(jinja2.StrictUndefined):
    """A name that is not there; any use of it is an error, to print it in a list as well."""

    def __repr__(self) -> str:
        return self._fail_with_undefined_error()

    @property
    def _undefined_message(self) -> str:
        if isinstance(self._undefined_obj, View) and not self._undefined_hint:
            return f"{self._undefined_obj} has no {self._undefined_name!r}"
        return str(super()._undefined_message)


def environment(folders: Sequence[Path]) -> Sandbox:
    """Return a sandbox whose files lie below some folders."""
    sandbox = Sandbox(
        loader=jinja2.FileSystemLoader([os.fspath(folder) for folder in folders]),
        undefined=Missing,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    sandbox.globals = {"range": safe_range, "dict": dict, "namespace": jinja2.utils.Namespace}
    for name in ("format", "center", "indent"):
        sandbox.filters[name] = _narrow(sandbox.filters[name])
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
    if isinstance(error, jinja2.TemplateError | TooLongError | LookupFailedError):
        return str(error).rstrip(".")
    return f"{type(error).__name__}: {error}".rstrip(".")


def _bits(value: Any) -> int:
    return value.bit_length() if isinstance(value, int) else 0


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str | bytes | list | tuple) else 0


def _narrow(made: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that refuses to make more than anybody wants to have."""

    def narrow(value: Any, *arguments: Any, **named: Any) -> Any:
        given = [*arguments, *named.values()]
        digits = [part for part in str(value).replace("%", " ").replace("*", " ").split() if part[:1].isdigit()]
        if any(_number(one) > _LARGEST for one in given) or any(len(part) > 9 for part in digits):
            raise TooLongError("the text becomes too long")
        return made(value, *arguments, **named)

    return narrow
