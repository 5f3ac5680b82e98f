"""Groups of tasks: a name before their ids, and one end for arrows."""

from collections.abc import Sequence
from contextvars import Token
from typing import TYPE_CHECKING, Any, Self

from elastic.dag.definition_scope import current_dag, current_group, open_groups
from elastic.dag.dependencies import DependencyMixin
from elastic.dag.errors import DefinitionError, DuplicateTaskError
from elastic.dag.ids import check_key

if TYPE_CHECKING:
    from elastic.dag.dag import DAG
    from elastic.dag.operator import BaseOperator


class TaskGroup(DependencyMixin):
    """Tasks that belong together. Tasks made in its `with` block get its id and a dot before their own.

    An arrow to a group leads to those of its tasks that come after no other of them, and an arrow from it starts at
    those that no other of them comes after, as the group is at that moment: draw arrows when it is complete.

    Args:
        group_id: A key, unique in the DAG.
        dag: The DAG; by default the one whose `with` block is open.
        parent: The group around it; by default the one whose `with` block is open.
        prefix_group_id: Put the id before those of the tasks.
        doc: What the group is for, in Markdown.

    Raises:
        DefinitionError: There is no DAG.
        DuplicateTaskError: The DAG has a task or group of this id.
    """

    def __init__(
        self,
        group_id: str,
        *,
        dag: "DAG | None" = None,
        parent: "TaskGroup | None" = None,
        prefix_group_id: bool = True,
        doc: str = "",
    ) -> None:
        self.parent = parent or current_group()
        self.group_id = check_key("group_id", self.parent.child_id(group_id) if self.parent else group_id)
        self.prefix_group_id, self.doc = prefix_group_id, doc
        found = dag or (self.parent.dag if self.parent else None) or current_dag()
        if found is None:
            raise DefinitionError(f"group {group_id!r} belongs to no DAG; give it one with dag=.")
        self.dag: DAG = found
        self.children: list[BaseOperator | TaskGroup] = []
        self._tokens: list[Token[Any]] = []
        if self.group_id in self.dag.task_dict or self.group_id in self.dag.groups:
            raise DuplicateTaskError(self.dag.dag_id, self.group_id)
        self.dag.groups[self.group_id] = self
        if self.parent:
            self.parent.add(self)

    def child_id(self, own: str) -> str:
        """Return the id of a task or group that is called `own` in this group."""
        if self.prefix_group_id:
            return f"{self.group_id}.{own}"
        return self.parent.child_id(own) if self.parent else own

    def add(self, child: "BaseOperator | TaskGroup") -> None:
        """Take a task or group in."""
        self.children.append(child)

    @property
    def tasks(self) -> "list[BaseOperator]":
        """All tasks of the group and of groups in it."""
        found: list[BaseOperator] = []
        for child in self.children:
            if isinstance(child, TaskGroup):
                found += child.tasks
            else:
                found.append(child)
        return found

    def first_tasks(self) -> "Sequence[BaseOperator]":
        tasks = self.tasks
        own = {task.task_id for task in tasks}
        return [task for task in tasks if not own & task.upstream.keys()]

    def last_tasks(self) -> "Sequence[BaseOperator]":
        tasks = self.tasks
        own = {task.task_id for task in tasks}
        return [task for task in tasks if not own & task.downstream.keys()]

    def __enter__(self) -> Self:
        self._tokens.append(open_groups.set((*open_groups.get(), self)))
        return self

    def __exit__(self, *raised: object) -> None:
        open_groups.reset(self._tokens.pop())

    def __str__(self) -> str:
        return f"<TaskGroup: {self.group_id}>"

    __repr__ = __str__
