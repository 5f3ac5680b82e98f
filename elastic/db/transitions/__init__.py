"""State transitions of runs and task instances: each is one compare-and-set transaction, logged in the audit log.

A DAG run:        queued -> running -> success | failed, and back to queued by `rerun` and `clear`
A task instance:  none -> scheduled -> queued -> running -> success | failed | skipped | up_for_retry -> queued ...
A sensor:         running -> deferred -> success | failed | skipped | up_for_retry | up_for_reschedule
                  running -> up_for_reschedule -> queued, with the same attempt
"""

from elastic.db.transitions.attempts import (
    claim,
    expire,
    finish,
    finish_many,
    release_leases,
    renew,
    set_flow_run,
    take_callbacks,
)
from elastic.db.transitions.backfills import (
    Backfill,
    BackfillState,
    BackfillStep,
    backfill_of,
    backfills,
    carry_out_backfills,
    set_backfill_state,
    submit_backfill,
)
from elastic.db.transitions.checks import (
    Checked,
    DueWait,
    record_checks,
    release_waits,
    renew_waits,
    seconds_until_check,
    take_waits,
)
from elastic.db.transitions.cursors import CursorMove, CursorRow, claim_due, move_changed, seconds_until_due
from elastic.db.transitions.deadlines import MissedDeadline, close_due
from elastic.db.transitions.instances import (
    clear,
    ensure_instances,
    mark_success,
    rerun_served,
    set_state,
    set_states,
)
from elastic.db.transitions.queueing import queue, queue_many
from elastic.db.transitions.run_callbacks import (
    RunCallback,
    begin_run_callbacks,
    finish_run_callbacks,
    take_run_callbacks,
)
from elastic.db.transitions.run_claims import (
    RunClaim,
    claim_owners,
    end_claimed_run,
    postpone_run,
    release_claims,
    renew_claims,
    set_run_version,
    take_runs,
)
from elastic.db.transitions.run_marks import instances_to_mark, mark_run
from elastic.db.transitions.runs import end_run, ensure_run, insert_run, rerun, set_run_state, start_backfill, start_run
from elastic.db.transitions.waits import resume_waits
from elastic.db.transitions.worker_attempts import give_back_attempts, take_attempts

__all__ = [
    "Backfill",
    "BackfillState",
    "BackfillStep",
    "Checked",
    "CursorMove",
    "CursorRow",
    "DueWait",
    "MissedDeadline",
    "RunCallback",
    "RunClaim",
    "backfill_of",
    "backfills",
    "begin_run_callbacks",
    "carry_out_backfills",
    "claim",
    "claim_due",
    "seconds_until_due",
    "claim_owners",
    "clear",
    "close_due",
    "end_claimed_run",
    "end_run",
    "ensure_instances",
    "ensure_run",
    "insert_run",
    "expire",
    "finish",
    "finish_many",
    "finish_run_callbacks",
    "give_back_attempts",
    "instances_to_mark",
    "mark_run",
    "mark_success",
    "move_changed",
    "postpone_run",
    "queue",
    "queue_many",
    "record_checks",
    "release_claims",
    "release_leases",
    "release_waits",
    "renew",
    "renew_claims",
    "renew_waits",
    "rerun",
    "rerun_served",
    "resume_waits",
    "seconds_until_check",
    "set_backfill_state",
    "set_flow_run",
    "set_run_state",
    "set_run_version",
    "set_state",
    "set_states",
    "start_backfill",
    "start_run",
    "submit_backfill",
    "take_attempts",
    "take_callbacks",
    "take_run_callbacks",
    "take_runs",
    "take_waits",
]
