"""State transitions of runs and task instances: each is one compare-and-set transaction, logged in the audit log.

A DAG run:        queued -> running -> success | failed, and back to queued by `rerun` and `clear`
A task instance:  none -> scheduled -> queued -> running -> success | failed | skipped | up_for_retry -> queued ...
"""

from elastic.db.transitions.attempts import (
    claim,
    expire,
    finish,
    finish_many,
    renew,
    set_flow_run,
    take_callbacks,
)
from elastic.db.transitions.instances import clear, ensure_instances, mark_success, set_state, set_states
from elastic.db.transitions.queueing import queue, queue_many
from elastic.db.transitions.runs import ensure_run, rerun, set_run_state, start_run

__all__ = [
    "claim",
    "clear",
    "ensure_instances",
    "ensure_run",
    "expire",
    "finish",
    "finish_many",
    "mark_success",
    "queue",
    "queue_many",
    "renew",
    "rerun",
    "set_flow_run",
    "set_run_state",
    "set_state",
    "set_states",
    "start_run",
    "take_callbacks",
]
