"""Inspect DAGs without running them: graphs as Graphviz and Mermaid source, and rendered template fields."""

import datetime as dt
from collections.abc import Mapping

from elastic.config.secret_mask import masked
from elastic.dag.dag import DAG
from elastic.dag.execution.execute import prepare
from elastic.dag.operator import BaseOperator
from elastic.db.known_secrets import hide_known_secrets
from elastic.scheduler.attempts.attempt_request import AttemptRequest, attempt_info_of
from elastic.scheduler.attempts.run_attempt import AttemptXCom, context_of
from elastic.scheduler.commands.run_task import preview_run
from elastic.scheduler.deployment import Deployment


def dot(dag: DAG) -> str:
    """Return the graph as Graphviz source."""
    lines = [f"digraph {_quoted(dag.dag_id)} {{", "  rankdir=LR;", "  node [shape=box, style=filled];"]
    for task in dag.tasks:
        label = f"{task.task_id}\\n{task.operator_type}"
        lines.append(f"  {_quoted(task.task_id)} [label={_quoted(label)}, fillcolor={_quoted(task.ui_color)}];")
    lines += [f"  {_quoted(task.task_id)} -> {_quoted(one)};" for task in dag.tasks for one in task.downstream]
    return "\n".join([*lines, "}"])


def mermaid(dag: DAG) -> str:
    """Return the graph as Mermaid source, which Markdown renderers draw."""
    names = {task.task_id: f"t{number}" for number, task in enumerate(dag.tasks)}
    lines = ["graph LR", *(f'  {name}["{task_id}"]' for task_id, name in names.items())]
    lines += [f"  {names[task.task_id]} --> {names[one]}" for task in dag.tasks for one in task.downstream]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'


def rendered(deployment: Deployment, task: BaseOperator, date: dt.datetime, map_index: int = -1) -> Mapping[str, str]:
    """Return the template fields by name as an attempt would see them, with known secrets masked.

    Raises:
        TemplateError: A field cannot be rendered.
    """
    hide_known_secrets()
    info = attempt_info_of(preview_run(deployment, task, date), task.task_id, map_index)
    context = context_of(task, AttemptRequest(info=info, max_tries=1), deployment, AttemptXCom(deployment, info.key))
    with task.helpers.installed():
        _, fields = prepare(task, context)
    return {name: masked(text) for name, text in fields.items()}
