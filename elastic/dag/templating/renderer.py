"""Renders the templates of a task: Jinja in a sandbox, with read-only views of the context."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elastic.dag.context import Context
from elastic.dag.errors import TaskTimeoutError, TemplateError
from elastic.dag.execution.timeout import TimeLimit
from elastic.dag.operator import BaseOperator
from elastic.dag.templating.context_views import template_context
from elastic.dag.templating.literals import Literal
from elastic.dag.templating.size_limits import SizeBudget, TemplateOutputTooLongError
from elastic.dag.xcom_arg import XComArg

if TYPE_CHECKING:
    from jinja2 import Environment

#: Maximum length of a rendered template, in characters.
MAX_CHARACTERS = 10_000_000

#: Maximum time to render one template, including lookups, in seconds; `execution_timeout` may lower it.
MAX_SECONDS = 60.0


def render_fields(attempt: BaseOperator, context: Context) -> dict[str, str]:
    """Render the template fields of an attempt in place, and return those with a value as strings.

    Strings in lists, tuples and dicts are templates too. Outputs of tasks become their values; like `literal()`, they
    are never templates. A field that is a single word with an ending of `template_ext` names a file in the folder of
    the DAG file, or in the DAG's `template_searchpath`.

    Args:
        attempt: A copy of the task, which is modified.
        context: The context of the attempt.

    Raises:
        TemplateError: A template is invalid; the error names the task, the field, and the line of the field or file.
    """
    renderer = Renderer(attempt, context)
    shown: dict[str, str] = {}
    for field in attempt.rendered_fields:
        if not hasattr(attempt, field):
            raise TemplateError(renderer.title(field), "template_fields", "the task has no such attribute")
        value = renderer.render(field, getattr(attempt, field))
        setattr(attempt, field, value)
        if value is not None:
            shown[field] = value if isinstance(value, str) else repr(value)
    return shown


class Renderer:
    """Renderer of the templates of one attempt.

    Args:
        task: The task with the templates.
        context: The context of the attempt.
    """

    def __init__(self, task: BaseOperator, context: Context) -> None:
        self.task, self.context = task, context
        #: by the folder to search first; None for that of the DAG
        self._environments: dict[Path | None, Environment] = {}
        self._variables: Mapping[str, Any] | None = None
        self._budget = SizeBudget()

    def title(self, field: str) -> str:
        """Return the name of a field for error messages."""
        return f"task {self.task.task_id!r}, field {field!r}"

    def render(self, field: str, value: Any) -> Any:
        """Return a value with the templates in it rendered.

        Raises:
            TemplateError: A template is invalid.
        """
        if isinstance(value, str):
            return self._render_text(field, value)
        if isinstance(value, Literal):
            return value.value
        if isinstance(value, XComArg):
            return value.resolve(self.context["ti"].xcom_pull)
        if isinstance(value, dict):
            return {name: self.render(field, one) for name, one in value.items()}
        if isinstance(value, list):
            return [self.render(field, one) for one in value]
        if isinstance(value, tuple):
            parts = [self.render(field, one) for one in value]
            return type(value)._make(parts) if hasattr(value, "_make") else tuple(parts)
        return value

    def _render_text(self, field: str, text: str) -> str:
        foreign = self.task.foreign_texts
        if foreign is not None and foreign.contains(text):
            return text
        endings = self._endings(field)
        is_file = bool(endings) and text.endswith(endings) and not any(character.isspace() for character in text)
        # Most strings are not templates, so most tasks do not need to import Jinja.
        if not is_file and not any(mark in text for mark in ("{{", "{%", "{#")):
            return text
        if foreign is not None and foreign.may_be_code_in(text):
            reason = (
                "it may contain a value that another task pushed, and only strings that the author wrote are rendered"
            )
            raise TemplateError(self.title(field), "line 1", reason)
        return self._render_limited(
            field, (lambda: self._file_template(text)) if is_file else (lambda: self._string_template(text))
        )

    def _endings(self, field: str) -> tuple[str, ...]:
        fields = self.task.file_fields
        if fields is not None and field not in fields:
            return ()
        endings = self.task.template_ext
        return (endings,) if isinstance(endings, str) else tuple(endings)

    def _render_limited(self, field: str, load: Callable[[], Any]) -> str:
        from elastic.dag.templating.sandbox import explain

        limit = self.task.execution_timeout
        seconds = MAX_SECONDS if limit is None else min(MAX_SECONDS, limit.total_seconds())
        try:
            with TimeLimit(self.title(field), seconds):
                return self._generate(load)
        except TaskTimeoutError:
            reason = f"it takes longer than {seconds:g} s"
            raise TemplateError(self.title(field), "line 1", reason) from None
        except TemplateError:
            raise
        except Exception as error:
            place, reason = explain(error)
            raise TemplateError(self.title(field), place, reason) from error

    def _generate(self, load: Callable[[], Any]) -> str:
        if self._variables is None:
            self._variables = template_context(self.context)
        parts, length = [], 0
        for part in load().generate(**self._variables):
            parts.append(part)
            length += len(part)
            if length > MAX_CHARACTERS:
                raise TemplateOutputTooLongError(f"the result is longer than {MAX_CHARACTERS:,} characters")
        return "".join(parts)

    def _string_template(self, text: str) -> Any:
        return self._environment(None).from_string(text)

    def _file_template(self, name: str) -> Any:
        path = Path(name)
        if path.is_absolute():
            return self._environment(path.parent).get_template(path.name)
        return self._environment(None).get_template(path.as_posix())

    def _environment(self, first: Path | None) -> "Environment":
        """Return the Jinja environment for templates of a folder; their includes are searched there first."""
        from elastic.dag.templating.sandbox import environment

        if first not in self._environments:
            own = (self.task.dag.folder, *self.task.dag.template_searchpath) if self.task.has_dag else (Path.cwd(),)
            self._environments[first] = environment(own if first is None else (first, *own), self._budget)
        return self._environments[first]
