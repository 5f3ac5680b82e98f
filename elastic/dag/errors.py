"""Every error of DAGs: what is wrong with a definition, and how an attempt ends that does not succeed.

ElasticError
├── DagError
│   ├── DefinitionError (UsageError)     a DAG file says something that cannot be
│   │   ├── InvalidKeyError              a name has characters that names may not have
│   │   ├── UnknownSettingError          a keyword that an operator or a DAG does not have
│   │   ├── DuplicateTaskError           two tasks of a DAG have one id
│   │   ├── DuplicateLinkError           "Dependency already registered"
│   │   ├── CycleError                   a task would come before itself
│   │   ├── UnknownTaskError (LookupError)
│   │   ├── ForeignTaskError             two tasks belong to different DAGs
│   │   ├── ScheduleError                a schedule, date or time zone cannot be understood
│   │   └── MappingError                 a task cannot be mapped as it is written
│   ├── UnknownDagError (UsageError, LookupError)
│   ├── BrokenDagError                   a DAG file that was needed cannot be loaded
│   ├── StructureError (ValueError)      a stored structure is not what a structure looks like
│   ├── TransitionError                  a state that cannot follow the present one
│   └── PortError                        what is asked for needs a part that is not installed
└── AttemptError
    ├── TaskSkipped                      raised by user code: do no more, count as skipped
    ├── TaskFailedForGood                raised by user code: fail, and do not try again
    ├── TaskTimeoutError (TimeoutError)  an attempt took longer than its limit
    ├── TemplateError                    a template cannot be rendered; nothing was executed
    ├── CommandError                     a command ended with another exit code than 0
    ├── BranchError (ValueError)         a branch was chosen that is not there
    ├── XComError (ValueError)           a value cannot be passed to other tasks
    ├── LookupFailedError (LookupError)  a variable or connection cannot be found
    ├── CallError (TypeError)            a function asks for what the context does not have
    ├── AnswerError (TypeError)          a function returned a generator, of which nothing has run
    └── ContextMissingError              an action was used before its context was set
"""

from elastic.core.errors import ElasticError, UsageError


class DagError(ElasticError):
    """Something is wrong with a DAG."""


class DefinitionError(DagError, UsageError):
    """A DAG file says something that cannot be."""


class InvalidKeyError(DefinitionError):
    """A name has characters, or a length, that names may not have."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(kind, key)
        self.kind, self.key = kind, key

    def __str__(self) -> str:
        shown = self.key if len(str(self.key)) <= 60 else f"{self.key[:57]}..."
        return (
            f"{shown!r} cannot be a {self.kind}; use 1 to 250 letters, digits, '_', '-' and '.', "
            "and neither '.' nor '..' alone."
        )


class UnknownSettingError(DefinitionError):
    """A keyword was given that the thing does not have."""

    def __init__(self, owner: str, name: str, hint: str = "") -> None:
        super().__init__(owner, name, hint)
        self.owner, self.name, self.hint = owner, name, hint

    def __str__(self) -> str:
        advice = f"did you mean {self.hint!r}?" if self.hint else "remove it or check its spelling."
        return f"{self.owner} has no setting {self.name!r}; {advice}"


class DuplicateTaskError(DefinitionError):
    """Two tasks of a DAG have one id."""

    def __init__(self, dag_id: str, task_id: str) -> None:
        super().__init__(dag_id, task_id)
        self.dag_id, self.task_id = dag_id, task_id

    def __str__(self) -> str:
        return f"DAG {self.dag_id!r} already has a task or group {self.task_id!r}; give this one another id."


class DuplicateLinkError(DefinitionError):
    """A task already depends on the other."""

    def __init__(self, upstream_id: str, downstream_id: str) -> None:
        super().__init__(upstream_id, downstream_id)
        self.upstream_id, self.downstream_id = upstream_id, downstream_id

    def __str__(self) -> str:
        return (
            f"Dependency already registered: {self.upstream_id!r} -> {self.downstream_id!r}; "
            "remove one of the two lines that say so."
        )


class CycleError(DefinitionError):
    """A task would have to come before itself."""

    def __init__(self, task_id: str, path: str) -> None:
        super().__init__(task_id, path)
        #: `path` reads `a -> b -> a`
        self.task_id, self.path = task_id, path

    def __str__(self) -> str:
        return f"task {self.task_id!r} would come before itself ({self.path}); remove one of these links."


class UnknownTaskError(DefinitionError, LookupError):
    """No task of the DAG has this id."""

    def __init__(self, dag_id: str, task_id: str, hint: str = "") -> None:
        super().__init__(dag_id, task_id, hint)
        self.dag_id, self.task_id, self.hint = dag_id, task_id, hint

    def __str__(self) -> str:
        advice = f"did you mean {self.hint!r}?" if self.hint else "`elastic tasks list` shows what there is."
        return f"DAG {self.dag_id!r} has no task {self.task_id!r}; {advice}"


class ForeignTaskError(DefinitionError):
    """Two tasks belong to different DAGs and cannot be linked, or a task is given to a second DAG."""

    def __init__(self, task_id: str, dag_id: str, other_dag_id: str) -> None:
        super().__init__(task_id, dag_id, other_dag_id)
        self.task_id, self.dag_id, self.other_dag_id = task_id, dag_id, other_dag_id

    def __str__(self) -> str:
        return (
            f"task {self.task_id!r} belongs to DAG {self.dag_id!r}, not to {self.other_dag_id!r}; "
            "a task and its neighbours belong to one DAG."
        )


class ScheduleError(DefinitionError):
    """A schedule, a date or a time zone cannot be understood."""


class MappingError(DefinitionError):
    """A task cannot be mapped as it is written."""


class UnknownDagError(DagError, UsageError, LookupError):
    """No DAG has this id."""

    def __init__(self, dag_id: str, place: str, hint: str = "", broken: int = 0) -> None:
        super().__init__(dag_id, place, hint, broken)
        #: `broken` files of the place cannot be loaded, and may define it
        self.dag_id, self.place, self.hint, self.broken = dag_id, place, hint, broken

    def __str__(self) -> str:
        advice = f"did you mean {self.hint!r}?" if self.hint else "`elastic dags list` shows what there is."
        if self.broken and not self.hint:
            files = "a file" if self.broken == 1 else f"{self.broken} files"
            advice = f"{files} there cannot be loaded: `elastic dags list` names what is wrong."
        return f"there is no DAG {self.dag_id!r} in {self.place}; {advice}"


class BrokenDagError(DagError):
    """A DAG file that was needed cannot be loaded."""

    def __init__(self, path: str, reason: str, traceback: str = "") -> None:
        super().__init__(path, reason, traceback)
        self.path, self.reason, self.traceback = path, reason, traceback

    def __str__(self) -> str:
        return f"{self.path} cannot be loaded: {self.reason}"


class StructureError(DagError, ValueError):
    """A stored structure is not what a structure looks like."""


class TransitionError(DagError):
    """A state cannot follow the present one."""

    def __init__(self, kind: str, old: str, new: str) -> None:
        super().__init__(kind, old, new)
        self.kind, self.old, self.new = kind, old, new

    def __str__(self) -> str:
        return f"a {self.kind} that is {self.old} cannot become {self.new}."


class PortError(DagError):
    """What is asked for needs a part of Elastic that is not there."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"{self.what} needs the scheduler (elastic.scheduler), which is not installed; reinstall Elastic."


class AttemptError(ElasticError):
    """How an attempt of a task ends that does not succeed."""


class TaskSkipped(AttemptError):  # noqa: N818 - it is raised to say something, not because something is wrong
    """Raise it in a task to stop there and count as skipped."""


class TaskFailedPermanently(AttemptError):  # noqa: N818 - the same
    """Raise it in a task to fail without another try."""


class TaskTimeoutError(AttemptError, TimeoutError):
    """An attempt took longer than its limit."""

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
        return f"the template of {self.field} ({self.place}) cannot be rendered: {self.reason}; nothing was executed."


class CommandError(AttemptError):
    """A command ended with another exit code than 0."""

    def __init__(self, task_id: str, ending: str, last_line: str = "") -> None:
        super().__init__(task_id, ending, last_line)
        #: `ending` reads `exit code 3` or `signal SIGKILL`
        self.task_id, self.ending, self.last_line = task_id, ending, last_line

    def __str__(self) -> str:
        said = f"; its last line was {self.last_line!r}" if self.last_line else ""
        return f"the command of task {self.task_id!r} ended with {self.ending}{said}."


class BranchError(AttemptError, ValueError):
    """A branch was chosen that is not there."""

    def __init__(self, task_id: str, chosen: str, possible: str) -> None:
        super().__init__(task_id, chosen, possible)
        self.task_id, self.chosen, self.possible = task_id, chosen, possible

    def __str__(self) -> str:
        return (
            f"task {self.task_id!r} chose {self.chosen}, which is not directly downstream of it; "
            f"return one or several of {self.possible or '(none)'}, or None."
        )


class XComError(AttemptError, ValueError):
    """A value cannot be passed to other tasks."""

    def __init__(self, task_id: str, key: str, reason: str) -> None:
        super().__init__(task_id, key, reason)
        self.task_id, self.key, self.reason = task_id, key, reason

    def __str__(self) -> str:
        return f"task {self.task_id!r} cannot pass on {self.key!r}: {self.reason}."


class LookupFailedError(AttemptError, LookupError):
    """A variable or a connection cannot be found."""


class CallError(AttemptError, TypeError):
    """A function asks for something that the context does not have."""

    def __init__(self, function: str, missing: str) -> None:
        super().__init__(function, missing)
        self.function, self.missing = function, missing

    def __str__(self) -> str:
        return (
            f"{self.function} asks for {self.missing}, which neither its arguments nor the context have; "
            "give it a default, or take `context` or `**context` to see what there is."
        )


class AnswerError(AttemptError, TypeError):
    """A user's function returned a generator, of which nothing has run, or its coroutine cancelled itself."""

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
        return f"action {self.name!r} has no context yet; call set_context(context) first."
