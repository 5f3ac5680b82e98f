"""Rendered template fields of a task instance, without running it."""

import datetime as dt
from collections.abc import Mapping

from elastic.config.secret_mask import masked
from elastic.dag.execution.execute import prepare
from elastic.dag.operator import BaseOperator
from elastic.db.known_secrets import hide_known_secrets
from elastic.scheduler.attempts.attempt_request import AttemptRequest, attempt_info_of
from elastic.scheduler.attempts.run_attempt import AttemptXCom, context_of
from elastic.scheduler.commands.run_task import preview_run
from elastic.scheduler.deployment import Deployment


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
