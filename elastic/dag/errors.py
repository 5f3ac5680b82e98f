"""Every error of DAGs: invalid definitions, and attempts that do not succeed.

ElasticError
├── DagError
│   ├── DefinitionError (UsageError)     a DAG file contains an invalid definition
│   │   ├── InvalidKeyError              a name has an invalid length or characters
│   │   ├── UnknownSettingError          an operator or a DAG got an unknown keyword
│   │   ├── DuplicateTaskError           two tasks of a DAG have the same id
│   │   ├── DuplicateDependencyError     "Dependency already registered"
│   │   ├── CycleError                   a task would depend on itself
│   │   ├── UnknownTaskError (LookupError)
│   │   ├── ForeignTaskError             two tasks belong to different DAGs
│   │   ├── ScheduleError                a schedule, date or time zone is invalid
│   │   └── MappingError                 a task cannot be mapped
│   ├── UnknownDagError (UsageError, LookupError)
│   ├── BrokenDagError                   a required DAG file cannot be loaded
│   ├── SerializedDagError (ValueError)  a stored DAG has an invalid format
│   ├── TransitionError                  a state transition is not allowed
│   └── SchedulerNotInstalledError       a method needs elastic.scheduler
└── AttemptError
    ├── TaskSkipped                      raised by user code: stop, and count as skipped
    ├── TaskFailedPermanently            raised by user code: fail without a retry
    │   └── SensorError                  a sensor cannot check its condition
    ├── TaskDeferred                     raised by a sensor: wait without a process
    ├── SensorTimeoutError (TimeoutError)  the condition of a sensor did not come true in time
    ├── TaskTimeoutError (TimeoutError)  an attempt exceeded its time limit
    ├── TemplateError                    a template cannot be rendered; nothing was executed
    ├── CommandError                     a command ended with a non-zero exit code
    ├── BranchError (ValueError)         the chosen branch does not exist
    ├── XComError (ValueError)           a value cannot be passed to other tasks
    ├── LookupFailedError (LookupError)  a variable or connection was not found
    ├── CallError (TypeError)            a parameter of a function has no value
    ├── UserFunctionError (TypeError)    a function returned a generator, so nothing has run
    └── ContextMissingError              an action was used before its context was set
"""

from typing import Any

from elastic.core.errors import ElasticError, UsageError


class DagError(ElasticError):
    """Base class of errors about DAGs."""


class DefinitionError(DagError, UsageError):
    """A DAG file contains an invalid definition."""


class InvalidKeyError(DefinitionError):
    """A name has an invalid length or invalid characters."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(kind, key)
        self.kind, self.key = kind, key

    def __str__(self) -> str:
        shown = self.key if len(str(self.key)) <= 60 else f"{self.key[:57]}..."
        return (
            f"invalid {self.kind} {shown!r}. Use 1 to 250 ASCII letters, digits, '_', '-' and '.', "
            "but neither '.' nor '..' alone."
        )


class UnknownSettingError(DefinitionError):
    """An operator or a DAG got an unknown keyword."""

    def __init__(self, owner: str, name: str, hint: str = "") -> None:
        super().__init__(owner, name, hint)
        self.owner, self.name, self.hint = owner, name, hint

    def __str__(self) -> str:
        advice = f"did you mean {self.hint!r}?" if self.hint else "remove it or check its spelling."
        return f"{self.owner} has no setting {self.name!r}; {advice}"


class DuplicateTaskError(DefinitionError):
    """Two tasks of a DAG have the same id."""

    def __init__(self, dag_id: str, task_id: str) -> None:
        super().__init__(dag_id, task_id)
        self.dag_id, self.task_id = dag_id, task_id

    def __str__(self) -> str:
        return f"DAG {self.dag_id!r} already has a task or group {self.task_id!r}. Choose another id."


class DuplicateDependencyError(DefinitionError):
    """The dependency between two tasks already exists."""

    def __init__(self, upstream_id: str, downstream_id: str) -> None:
        super().__init__(upstream_id, downstream_id)
        self.upstream_id, self.downstream_id = upstream_id, downstream_id

    def __str__(self) -> str:
        return (
            f"Dependency already registered: {self.upstream_id!r} -> {self.downstream_id!r}. "
            "Remove one of the two definitions."
        )


class CycleError(DefinitionError):
    """A task would depend on itself."""

    def __init__(self, task_id: str, path: str) -> None:
        super().__init__(task_id, path)
        #: `path` reads `a -> b -> a`
        self.task_id, self.path = task_id, path

    def __str__(self) -> str:
        return f"task {self.task_id!r} would depend on itself: {self.path}. Remove one of these dependencies."


class UnknownTaskError(DefinitionError, LookupError):
    """The DAG has no task with this id."""

    def __init__(self, dag_id: str, task_id: str, hint: str = "") -> None:
        super().__init__(dag_id, task_id, hint)
        self.dag_id, self.task_id, self.hint = dag_id, task_id, hint

    def __str__(self) -> str:
        advice = f"did you mean {self.hint!r}?" if self.hint else "run `elastic tasks list` for all tasks."
        return f"DAG {self.dag_id!r} has no task {self.task_id!r}; {advice}"


class ForeignTaskError(DefinitionError):
    """A dependency connects two DAGs, or a task is added to a second DAG."""

    def __init__(self, task_id: str, dag_id: str, other_dag_id: str) -> None:
        super().__init__(task_id, dag_id, other_dag_id)
        self.task_id, self.dag_id, self.other_dag_id = task_id, dag_id, other_dag_id

    def __str__(self) -> str:
        return (
            f"task {self.task_id!r} belongs to DAG {self.dag_id!r}, not to {self.other_dag_id!r}. "
            "Connect only tasks of the same DAG."
        )


class ScheduleError(DefinitionError):
    """A schedule, a date or a time zone is invalid."""


class MappingError(DefinitionError):
    """The arguments of a mapped task are invalid."""


class UnknownDagError(DagError, UsageError, LookupError):
    """There is no DAG with this id."""

    def __init__(self, dag_id: str, place: str, hint: str = "", broken: int = 0) -> None:
        super().__init__(dag_id, place, hint, broken)
        #: `broken` counts the files that cannot be loaded and may define the DAG
        self.dag_id, self.place, self.hint, self.broken = dag_id, place, hint, broken

    def __str__(self) -> str:
        advice = f"did you mean {self.hint!r}?" if self.hint else "run `elastic dags list` for all DAGs."
        if self.broken and not self.hint:
            files = "1 file" if self.broken == 1 else f"{self.broken} files"
            advice = f"{files} there cannot be loaded: run `elastic dags list` for the reasons."
        return f"there is no DAG {self.dag_id!r} in {self.place}; {advice}"


class BrokenDagError(DagError):
    """A required DAG file cannot be loaded."""

    def __init__(self, path: str, reason: str, traceback: str = "") -> None:
        super().__init__(path, reason, traceback)
        self.path, self.reason, self.traceback = path, reason, traceback

    def __str__(self) -> str:
        return f"{self.path} cannot be loaded: {self.reason}"


class SerializedDagError(DagError, ValueError):
    """A stored DAG has an invalid format."""


class TransitionError(DagError):
    """A state transition is not allowed."""

    def __init__(self, kind: str, old: str, new: str) -> None:
        super().__init__(kind, old, new)
        self.kind, self.old, self.new = kind, old, new

    def __str__(self) -> str:
        return f"a {self.kind} cannot change from {self.old} to {self.new}."


class SchedulerNotInstalledError(DagError):
    """A method needs the scheduler, which is not installed."""

    def __init__(self, caller: str) -> None:
        super().__init__(caller)
        #: the called method, as `dag.run()`
        self.caller = caller

    def __str__(self) -> str:
        return f"{self.caller} needs the scheduler (elastic.scheduler), which is not installed. Reinstall Elastic."


class AttemptError(ElasticError):
    """Base class of errors that end an attempt."""


class TaskSkipped(AttemptError):  # noqa: N818 - a request of user code, not an error
    """Raise it in a task to stop the attempt and mark the task as skipped."""


class TaskFailedPermanently(AttemptError):  # noqa: N818 - the same
    """Raise it in a task to fail without a retry."""


class TaskDeferred(AttemptError):  # noqa: N818 - a request, not an error
    """A task waits: its attempt leaves its process, and goes on without it or in a later one."""

    def __init__(self, request: Any) -> None:
        super().__init__(request)
        #: a `WaitRequest`
        self.request = request

    def __str__(self) -> str:
        return "the task waits for a condition."


class SensorTimeoutError(AttemptError, TimeoutError):
    """The condition of a sensor did not come true before its time-out."""


class SensorError(TaskFailedPermanently):
    """A sensor cannot check its condition, or the condition can never come true. The sensor fails without a retry."""


class TaskTimeoutError(AttemptError, TimeoutError):
    """An attempt exceeded its time limit."""

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(what, seconds)
        self.what, self.seconds = what, seconds

    def __str__(self) -> str:
        return f"{self.what} took longer than {self.seconds:g} s and was stopped."


class TemplateError(AttemptError):
    """A template cannot be rendered. Nothing was executed."""

    def __init__(self, field: str, place: str, reason: str) -> None:
        super().__init__(field, place, reason)
        #: `field` reads `task 'load', field 'sql'`; `place` is `<file>:<line>` or `line <line>`
        self.field, self.place, self.reason = field, place, reason

    def __str__(self) -> str:
        return f"the template of {self.field} ({self.place}) cannot be rendered: {self.reason}. Nothing was executed."


class CommandError(AttemptError):
    """A command ended with a non-zero exit code."""

    def __init__(self, task_id: str, exit_status: str, last_line: str = "") -> None:
        super().__init__(task_id, exit_status, last_line)
        #: `exit_status` reads `exit code 3` or `signal SIGKILL`
        self.task_id, self.exit_status, self.last_line = task_id, exit_status, last_line

    def __str__(self) -> str:
        output = f"; its last line was {self.last_line!r}" if self.last_line else ""
        return f"the command of task {self.task_id!r} ended with {self.exit_status}{output}."


class BranchError(AttemptError, ValueError):
    """The chosen branch does not exist."""

    def __init__(self, task_id: str, chosen: str, possible: str) -> None:
        super().__init__(task_id, chosen, possible)
        self.task_id, self.chosen, self.possible = task_id, chosen, possible

    def __str__(self) -> str:
        return (
            f"task {self.task_id!r} chose {self.chosen}, which is not directly downstream of it. "
            f"Return one or several of {self.possible or '(none)'}, or None."
        )


class XComError(AttemptError, ValueError):
    """A value cannot be pushed to other tasks, or pulled from one."""

    def __init__(self, task_id: str, key: str, reason: str) -> None:
        super().__init__(task_id, key, reason)
        self.task_id, self.key, self.reason = task_id, key, reason

    def __str__(self) -> str:
        return f"XCom {self.key!r} of task {self.task_id!r}: {self.reason}."


class LookupFailedError(AttemptError, LookupError):
    """A variable or a connection was not found."""


class CallError(AttemptError, TypeError):
    """A parameter of a function has no value in the context."""

    def __init__(self, function: str, missing: str) -> None:
        super().__init__(function, missing)
        self.function, self.missing = function, missing

    def __str__(self) -> str:
        return (
            f"{self.function} needs {self.missing}, which is neither an argument nor in the context. "
            "Give it a default, or take `context` or `**context` to see all values."
        )


class UserFunctionError(AttemptError, TypeError):
    """A user function returned a generator, so nothing has run, or its coroutine cancelled itself."""

    def __init__(self, function: str, reason: str) -> None:
        super().__init__(function, reason)
        self.function, self.reason = function, reason

    def __str__(self) -> str:
        return f"{self.function} {self.reason}."


class ContextMissingError(AttemptError):
    """An action was used before its context was set."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"action {self.name!r} has no context. Call set_context(context) first."
