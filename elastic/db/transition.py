"""Every change of what runs. Each function is one transaction, made only if the rows are as expected, and logged.

A DAG run:        queued -> running -> success | failed, and back to queued by `rerun` and `clear`
A task instance:  none -> scheduled -> queued -> running -> success | failed | skipped | up_for_retry -> queued ...
"""

from elastic.db.attempt_transition import claim, expire, finish, finish_many, renew, set_flow_run
from elastic.db.instance_transition import clear, ensure_instances, mark_success, set_state, set_states
from elastic.db.queueing import queue, queue_many
from elastic.db.run_transition import ensure_run, rerun, set_run_state, start_run

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
]
