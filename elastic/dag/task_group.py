"""Task groups: a common prefix for task ids, and a common end for arrows."""

from contextvars import Token
from typing import Any, Self

from elastic.dag.definition_scope import current_dag, current_group, open_groups
from elastic.dag.dependencies import DependencyMixin
from elastic.dag.errors import DefinitionError
from elastic.dag.ids import check_key
from elastic.dag.operator import BaseOperator
from elastic.dag.protocols import DagLike, GroupLike


class TaskGroup(DependencyMixin):
    """A set of tasks. Tasks defined in its `with` block get its id and a dot as a prefix.

    An arrow to a group ends at its tasks without an upstream task in the group. An arrow from a group starts at its
    tasks without a downstream task in the group. Draw arrows when the group is complete: later tasks are not included.

    Args:
        group_id: A key, unique in the DAG.
        dag: The DAG; by default the one with an open `with` block.
        parent: The enclosing group; by default the one with an open `with` block.
        prefix_group_id: Prefix the ids of members with the id of the group.
        doc: Description of the group, in Markdown.

    Raises:
        DefinitionError: The group has no DAG.
        DuplicateTaskError: The DAG has a task or group with this id.
    """

    def __init__(
        self,
        group_id: str,
        *,
        dag: DagLike | None = None,
        parent: GroupLike | None = None,
        prefix_group_id: bool = True,
        doc: str = "",
    ) -> None:
        self.parent = parent or current_group()
        self.group_id = check_key("group_id", self.parent.child_id(group_id) if self.parent else group_id)
        self.prefix_group_id, self.doc = prefix_group_id, doc
        found = dag or (self.parent.dag if self.parent else None) or current_dag()
        if found is None:
            raise DefinitionError(f"group {group_id!r} belongs to no DAG. Pass one as dag=.")
        self.dag = found
        self.children: list[BaseOperator | TaskGroup] = []
        self._tokens: list[Token[Any]] = []
        self.dag.add_group(self)
        if self.parent:
            self.parent.add(self)

    def child_id(self, own: str) -> str:
        """Return the full id of a task or group of this group."""
        if self.prefix_group_id:
            return f"{self.group_id}.{own}"
        return self.parent.child_id(own) if self.parent else own

    def add(self, child: "BaseOperator | TaskGroup") -> None:
        """Add a task or a group."""
        self.children.append(child)

    @property
    def tasks(self) -> list[BaseOperator]:
        """All tasks of the group and of its subgroups."""
        found: list[BaseOperator] = []
        for child in self.children:
            if isinstance(child, TaskGroup):
                found += child.tasks
            else:
                found.append(child)
        return found

    def first_tasks(self) -> list[BaseOperator]:
        tasks = self.tasks
        own = {task.task_id for task in tasks}
        return [task for task in tasks if not own & task.upstream.keys()]

    def last_tasks(self) -> list[BaseOperator]:
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
