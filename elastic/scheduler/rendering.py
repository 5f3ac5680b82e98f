"""The template fields of a task as an attempt would see them; nothing is run."""

import datetime as dt
from collections.abc import Mapping

from elastic.config.mask import masked
from elastic.dag.execution import prepared
from elastic.dag.operator import BaseOperator
from elastic.db.known_secret import hide_known_secrets
from elastic.scheduler.attempt import AttemptXCom, context_of
from elastic.scheduler.facts import facts_of
from elastic.scheduler.order import Order
from elastic.scheduler.site import Site
from elastic.scheduler.task_run import run_seen


def rendered(site: Site, task: BaseOperator, date: dt.datetime, map_index: int = -1) -> Mapping[str, str]:
    """Return the template fields by name, without secrets that are known.

    Raises:
        TemplateError: One of them cannot be rendered.
    """
    hide_known_secrets()
    facts = facts_of(run_seen(site, task, date), task.task_id, map_index)
    context = context_of(task, Order(facts=facts, max_tries=1), site, AttemptXCom(site, facts.key))
    with task.helpers.installed():
        _, fields = prepared(task, context)
    return {name: masked(text) for name, text in fields.items()}
