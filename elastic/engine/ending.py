"""How a step ends that fails."""

from elastic.core.errors import (
    ClusterLostError,
    CorruptStoreError,
    ElasticError,
    EntryError,
    FencedError,
    NoWorkerError,
    StepFailedError,
    StepInterruptedError,
    StepSuspendedError,
    StoreError,
)
from elastic.core.instruction import Fail
from elastic.core.step import StepState

#: Errors of the disk and of the cluster, and those among them after which the step cannot go on.
_NOT_ITS_FAULT = (StoreError, ClusterLostError, NoWorkerError)
_FOR_GOOD = (CorruptStoreError, FencedError)


def ending_of(failed: ElasticError, run_id: str, *, is_durable: bool) -> tuple[StepState, ElasticError]:
    """Return the state in which a step ends, and the error that tells why.

    Args:
        failed: What happened.
        run_id: The run.
        is_durable: What the run has committed is there after this process, so that it can be resumed.
    """
    if isinstance(failed, StepInterruptedError):
        return StepState.INTERRUPTED, failed
    if is_durable and isinstance(failed, _NOT_ITS_FAULT) and not isinstance(failed, _FOR_GOOD):
        suspended = StepSuspendedError(run_id, str(failed).rstrip("."))
        suspended.__cause__ = failed
        return StepState.SUSPENDED, suspended
    return StepState.ERROR, failed


def error_of(failed: Fail, run_id: str, cause: BaseException | None = None) -> StepFailedError:
    """Return the error of a step that ends because entries failed.

    Args:
        failed: Why the step ends.
        run_id: The run.
        cause: What user code raised, where it was in this process; else an `EntryError` with its text is the cause.
    """
    failure = failed.failure
    reason = str(failure) if failed.excess is None else f"{failed.excess}: {failure}"
    error = StepFailedError(run_id, reason, failure.traceback)
    if failed.excess is not None:
        cause = None  # of another entry, which was left out
    if cause is None and failure.traceback:
        cause = EntryError(f"{failure.error_type}: {failure.message}")
        cause.add_note(failure.traceback)
    error.__cause__ = cause
    return error
