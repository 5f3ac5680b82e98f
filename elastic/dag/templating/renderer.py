"""Templates: Jinja in a sandbox, over read-only views of the context."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elastic.dag.context import Context
from elastic.dag.errors import TaskTimeoutError, TemplateError
from elastic.dag.execution.timeout import TimeLimit
from elastic.dag.templating.context_views import template_context
from elastic.dag.templating.literals import Literal
from elastic.dag.templating.size_limits import Allowance, TemplateOutputTooLongError
from elastic.dag.xcom_arg import XComArg

if TYPE_CHECKING:
    from jinja2 import Environment

    from elastic.dag.operator import BaseOperator

#: How long a rendered text may be, in characters.
LONGEST = 10_000_000

#: Seconds that one text may take, what it looks up included; less where `execution_timeout` says so.
MOST_SECONDS = 60.0


def render_fields(attempt: "BaseOperator", context: Context) -> dict[str, str]:
    """Render the template fields of an attempt in place, and return those that hold something as text.

    Texts in lists, tuples and dicts are templates too; outputs of tasks become their values, which are never
    templates, as `literal()` is not. A field that is one word with an ending of `template_ext` is a file: below the
    folder of the DAG's file, or the DAG's `template_searchpath`.

    Args:
        attempt: A copy of the task, which is changed.
        context: The context of the attempt.

    Raises:
        TemplateError: It names the task, the field, and the line of the field or file.
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
    """Renders templates of one attempt.

    Args:
        task: Whose templates they are.
        context: The context of the attempt.
    """

    def __init__(self, task: "BaseOperator", context: Context) -> None:
        self.task, self.context = task, context
        #: by the folder that is searched first: None for that of the DAG
        self._environments: dict[Path | None, Environment] = {}
        self._scene: Mapping[str, Any] | None = None
        self._allowance = Allowance()

    def title(self, field: str) -> str:
        """Name a field of the task for the text of errors."""
        return f"task {self.task.task_id!r}, field {field!r}"

    def render(self, field: str, value: Any) -> Any:
        """Return a value with the templates in it rendered.

        Raises:
            TemplateError: One cannot be.
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
        if foreign is not None and foreign.holds(text):
            return text
        endings = self._endings(field)
        is_file = bool(endings) and text.endswith(endings) and not any(letter.isspace() for letter in text)
        # Most texts are no templates, and then Jinja need not be loaded.
        if not is_file and not any(mark in text for mark in ("{{", "{%", "{#")):
            return text
        if foreign is not None and foreign.may_be_in(text):
            reason = "it may hold what another task passed on, and only what the author wrote is a template"
            raise TemplateError(self.title(field), "line 1", reason)
        return self._guarded(field, (lambda: self._of_file(text)) if is_file else (lambda: self._of_text(text)))

    def _endings(self, field: str) -> tuple[str, ...]:
        fields = self.task.file_fields
        if fields is not None and field not in fields:
            return ()
        endings = self.task.template_ext
        return (endings,) if isinstance(endings, str) else tuple(endings)

    def _guarded(self, field: str, load: Callable[[], Any]) -> str:
        from elastic.dag.templating.sandbox import explain

        limit = self.task.execution_timeout
        seconds = MOST_SECONDS if limit is None else min(MOST_SECONDS, limit.total_seconds())
        try:
            with TimeLimit(self.title(field), seconds):
                return self._generated(load)
        except TaskTimeoutError:
            reason = f"it takes longer than {seconds:g} s"
            raise TemplateError(self.title(field), "line 1", reason) from None
        except TemplateError:
            raise
        except Exception as error:
            place, reason = explain(error)
            raise TemplateError(self.title(field), place, reason) from error

    def _generated(self, load: Callable[[], Any]) -> str:
        if self._scene is None:
            self._scene = template_context(self.context)
        parts, length = [], 0
        for part in load().generate(**self._scene):
            parts.append(part)
            length += len(part)
            if length > LONGEST:
                raise TemplateOutputTooLongError(f"it becomes longer than {LONGEST:,} characters")
        return "".join(parts)

    def _of_text(self, text: str) -> Any:
        return self._jinja(None).from_string(text)

    def _of_file(self, name: str) -> Any:
        path = Path(name)
        if path.is_absolute():
            return self._jinja(path.parent).get_template(path.name)
        return self._jinja(None).get_template(path.as_posix())

    def _jinja(self, first: Path | None) -> "Environment":
        """Return the environment of templates that lie in a folder: what they include is looked for there first."""
        from elastic.dag.templating.sandbox import environment

        if first not in self._environments:
            own = (self.task.dag.folder, *self.task.dag.template_searchpath) if self.task.has_dag else (Path.cwd(),)
            self._environments[first] = environment(own if first is None else (first, *own), self._allowance)
        return self._environments[first]
