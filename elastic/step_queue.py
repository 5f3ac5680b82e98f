"""Step queue: runs steps in order, one at a time; the next one starts by itself."""

import os
import socket
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

from elastic.core.contracts.store import ChunkStore
from elastic.core.errors import ElasticError, StepFailedError, StepInterruptedError, UsageError
from elastic.core.model.chunk_location import Loss
from elastic.core.model.step import Progress, StepState
from elastic.core.receipts.receipt import Receipt, decode_token
from elastic.engine.flow_defaults import flow_defaults
from elastic.engine.master import Master
from elastic.engine.options import Options
from elastic.engine.result import Result
from elastic.engine.run import FlowRun
from elastic.engine.step import Step
from elastic.flow.flow import Flow
from elastic.recovery.resume import Resumption

#: Counters of the nodes and processes that a step lost.
_LOSS_COUNTERS = ("workers_lost", "nodes_lost")


@dataclass(slots=True)
class _Queued:
    """Step of the queue, with its state and result."""

    step: Step
    state: StepState = StepState.QUEUED
    master: Master | None = None
    result: Result | None = None
    #: reason for the end of a step without a result
    error: BaseException | None = None
    #: state in which a caller asked the step to end
    ending: StepState | None = None
    #: number of nodes and processes that the step lost
    losses: int = 0

    def end(self, state: StepState) -> None:
        """Ask the step to end, even while its master is being created."""
        self.ending = self.ending or state
        if self.master is not None:
            self.master.stop()


class StepQueue:
    """Queue that runs steps in the order of their addition, one at a time, in its own thread.

    Each step has its own result, aggregation and receipts; a failed step does not block the next ones. All steps of a
    queue are one run. Any thread may call the methods. As a context manager, the queue waits for all steps at the end
    of the block, or stops them if the block raises.

    Args:
        autoplay: True: steps start by themselves; False: `play_step` starts each one.
        home: Folder of runs, see `Options`.
        chunk_store: Store for payloads of one-shot sources, see `Options`; None for that of the settings.
    """

    def __init__(
        self, *, autoplay: bool = True, home: Any = None, chunk_store: str | type[ChunkStore] | None = None
    ) -> None:
        named = {"home": home, "chunk_store": chunk_store}
        given = {name: value for name, value in named.items() if value is not None}
        options = Options().updated(given).with_defaults(flow_defaults())
        self._run = FlowRun.create(options.home, options.chunk_store)
        self._autoplay = autoplay
        self._steps: list[_Queued] = []
        self._reports: Counter[str] = Counter()
        self._closed = False
        #: guards all attributes, and is notified at the end of a step
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def run_id(self) -> str:
        """Id of the run of all steps of this queue."""
        return self._run.run_id

    # -- steps in

    def add(self, step: Step | Flow) -> Literal["started", "step_added"]:
        """Add a step; return `started` if it starts at once, `step_added` if it waits.

        Raises:
            UsageError: It is not a step, or the queue is closed.
        """
        step = step.step() if isinstance(step, Flow) else step
        if not isinstance(step, Step):
            raise UsageError(f"{step!r} is neither a Step nor a Flow.")
        if step.options.home is not None:
            raise UsageError(f"step {step.name!r} has its own home; give home to the StepQueue instead.")
        with self._changed:
            if self._closed:
                raise UsageError("the queue is closed; create a new one.")
            self._steps.append(_Queued(step))
            if not self._autoplay or self._thread is not None:
                return "step_added"
            self._start_thread(self._play_all, self._take())
            return "started"

    def play_step(self) -> Literal["ok", "step_already_in_progress", "no_steps", "error_distribution_flow"]:
        """Start the next step and return the outcome.

        `error_distribution_flow` means that the step could not start: its state is `error`, `errors` has the reason,
        and later steps are unchanged.
        """
        with self._changed:
            if self._thread is not None:
                return "step_already_in_progress"
            number = self._next()
            if number is None:
                return "no_steps"
            master = self._begin(number)
            if master is None:
                return "error_distribution_flow"
            self._start_thread(self._play_one, number, master)
            return "ok"

    def retry_step(self) -> Literal["ok", "step_already_in_progress", "no_steps", "error_distribution_flow"]:
        """Resume the first step that did not complete: resend the chunks that were sent and are not in its result."""
        with self._changed:
            if self._thread is not None:
                return "step_already_in_progress"
            states = [queued.state for queued in self._steps]
            ended = (number for number, state in enumerate(states) if state.is_final and not state.is_complete)
            number = next(ended, None)
            if number is None:
                return "no_steps"
            self._steps[number].ending = self._steps[number].error = None
            master = self._begin(number, again=True)
            if master is None:
                return "error_distribution_flow"
            self._start_thread(self._play_one, number, master)
            return "ok"

    def retry_distribution(self, receipts: Iterable[Receipt | str]) -> int:
        """Resend the chunks of receipts of the step in progress, and return the number of resent chunks.

        Chunks that are in the result, or wait to be sent, are left alone. The first result of a chunk counts, so the
        answer stays the same. `retry_step` resumes a step that has ended.

        Args:
            receipts: Receipts, as interceptors get them, or their tokens.

        Raises:
            UsageError: No step is in progress, or a receipt belongs to another step.
            ReceiptError: A token is invalid, was changed, or belongs to another run.
        """
        with self._changed:
            number = self.current_step_id
            master = None if number is None else self._steps[number].master
        if number is None:
            raise UsageError("no step is in progress; retry_step() resumes a step that did not complete.")
        if master is None:  # it is being created, so it has sent no chunk
            return 0
        key = master.context.program.key
        named = [decode_token(one, key=key, run_id=self.run_id) if isinstance(one, str) else one for one in receipts]
        other = next((one for one in named if one.step != number), None)
        if other is not None:
            raise UsageError(f"a receipt belongs to step {other.step}, but step {number} is in progress; leave it out.")
        return len(master.retry(one.chunk_id for one in named))

    # -- steps out

    def wait(self, timeout: float | None = None) -> list[Result]:
        """Wait until no step is in progress or about to start; return `results("all")`.

        Args:
            timeout: Maximum number of seconds to wait; None for no limit.

        Raises:
            TimeoutError: The steps did not end in time; they continue.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._thread is None, timeout):
                raise TimeoutError(f"step {self.current_step_id} is still in progress after {timeout:g} s.")
        with self._changed:
            return [queued.result for queued in self._steps if queued.result is not None]

    def results(self, which: Literal["all", "first"] = "all") -> Any:
        """Return the results of the steps that ran, in order; with `first` the first result, or None.

        Raises:
            UsageError: `which` is invalid.
        """
        if which not in ("all", "first"):
            raise UsageError(f"results({which!r}): expected 'all' or 'first'.")
        with self._changed:
            found = [queued.result for queued in self._steps if queued.result is not None]
        return found if which == "all" else (found[0] if found else None)

    def states(self) -> list[StepState]:
        """Return the states of all steps, in order."""
        with self._changed:
            return [queued.state for queued in self._steps]

    def errors(self) -> list[str | None]:
        """Return the reason for each failure, one sentence per step; None for steps that did not fail."""
        with self._changed:
            return [None if queued.error is None else _sentence(queued.error) for queued in self._steps]

    def progress(self) -> Progress | None:
        """Return the progress of the step in progress; None if there is none.

        A step is in progress as soon as `add` returns `started`, even while its cluster starts.
        """
        with self._changed:
            number = self.current_step_id
            if number is None:
                return None
            queued = self._steps[number]
            master = queued.master
        return self._initial_progress(number, queued.step) if master is None else master.progress()

    def value(self) -> Any:
        """Return the result so far of the step in progress; None if there is none."""
        with self._changed:
            number = self.current_step_id
            master = None if number is None else self._steps[number].master
        return None if master is None else master.value()

    @property
    def current_step_id(self) -> int | None:
        """Number of the step in progress, counted from 0; None if there is none."""
        in_progress = (n for n, queued in enumerate(self._steps) if queued.state is StepState.IN_PROGRESS)
        return next(in_progress, None)

    # -- errors and signals

    @property
    def error_count(self) -> int:
        """Number of failed steps, lost nodes and processes, and reported errors."""
        with self._changed:
            failed = sum(queued.state is StepState.ERROR for queued in self._steps)
            lost = sum(queued.losses for queued in self._steps)
            reported = self._reports.total()
        progress = self.progress()
        return failed + lost + reported + (0 if progress is None else _losses(progress.counters))

    def increment_error_count(self, process: str | None = None) -> int:
        """Report an error that the queue cannot detect; return the new count.

        Args:
            process: Name of the reporting process; None for this one.
        """
        name = process or f"process {os.getpid()} on {socket.gethostname()}"
        with self._changed:
            self._reports[name] += 1
        return self.error_count

    def error_reports(self) -> dict[str, int]:
        """Return the number of reported errors by process name."""
        with self._changed:
            return dict(self._reports)

    def losses(self) -> list[Loss]:
        """Return the workers and nodes that steps lost, in the order of the steps."""
        with self._changed:
            steps = [(queued.result, queued.master) for queued in self._steps]
        return [
            loss
            for result, master in steps
            for loss in (master.losses() if master is not None else result.losses if result is not None else ())
        ]

    def signal_step(self, status: str) -> Literal["ok", "invalid_status_update"]:
        """Signal the end of the step in progress.

        `error` stops the step. `complete` and `complete_with_retries` are accepted only if the last step has ended in
        that state, and change nothing. Every other signal returns `invalid_status_update`.
        """
        with self._changed:
            number = self.current_step_id
            current = self._steps[number] if number is not None else None
            if status == StepState.ERROR and current is not None:
                current.end(StepState.ERROR)
                return "ok"
            last = next((queued for queued in reversed(self._steps) if queued.state.is_final), None)
            is_known = last is not None and last.state.is_complete and last.state == status
            return "ok" if is_known and current is None else "invalid_status_update"

    def stop(self) -> None:
        """Stop the step in progress and drop the waiting ones; return when it has ended."""
        with self._changed:
            for queued in self._steps:
                if queued.state is StepState.QUEUED:
                    queued.state = StepState.INTERRUPTED
                elif queued.state is StepState.IN_PROGRESS:
                    queued.end(StepState.INTERRUPTED)
        self.wait()

    def close(self) -> None:
        """Wait for all steps and release the run; the queue then accepts no steps."""
        with self._changed:
            self._closed = True
        self.wait()
        with self._changed:
            self._run.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is not None:
            self.stop()
        self.close()

    # -- in the queue's thread

    def _start_thread(self, target: Any, *arguments: Any) -> None:
        # Not a daemon thread: added steps complete even after the last line of the script.
        self._thread = threading.Thread(target=target, args=arguments, name=f"elastic-{self.run_id}")
        self._thread.start()

    def _play_all(self, number: int | None) -> None:
        while number is not None:
            master = self._begin(number)
            if master is not None:
                self._run_step(number, master)
            with self._changed:
                number = self._take()
                if number is None:
                    self._thread = None
                    self._changed.notify_all()

    def _play_one(self, number: int, master: Master) -> None:
        self._run_step(number, master)
        with self._changed:
            self._thread = None
            self._changed.notify_all()

    def _begin(self, number: int, *, again: bool = False) -> Master | None:
        queued = self._steps[number]
        queued.state = StepState.IN_PROGRESS
        try:
            if again and number in [record.step for record in self._run.store.steps()]:
                master = Resumption.of(self._run, number, queued.step).master
            else:
                master = self._run.master(number, queued.step)
        except BaseException as error:
            # Every error, Ctrl-C aside: callers that wait for the queue must not wait forever.
            with self._changed:
                queued.state, queued.error = StepState.ERROR, error
            if isinstance(error, KeyboardInterrupt):
                raise
            return None
        with self._changed:
            queued.master = master
            if queued.ending is not None:
                master.stop()
        return master

    def _run_step(self, number: int, master: Master) -> None:
        queued = self._steps[number]
        result, error = None, None
        try:
            result = master.run()
        except BaseException as unexpected:
            error = unexpected
        with self._changed:
            queued.result, queued.master = result, None
            queued.losses = _losses(master.progress().counters)
            queued.state = StepState.ERROR if result is None else result.state
            queued.error = error if result is None else result.error
            if isinstance(queued.error, StepInterruptedError) and queued.ending is StepState.ERROR:
                queued.state = StepState.ERROR
                queued.error = StepFailedError(self.run_id, "it was signalled as failed")

    def _take(self) -> int | None:
        """Return the number of the next step and mark it as in progress, before its master exists."""
        number = self._next()
        if number is not None:
            self._steps[number].state = StepState.IN_PROGRESS
        return number

    def _next(self) -> int | None:
        waiting = (number for number, queued in enumerate(self._steps) if queued.state is StepState.QUEUED)
        return next(waiting, None)

    def _initial_progress(self, number: int, step: Step) -> Progress:
        """Return the progress of a step whose master is being created."""
        return Progress(
            run_id=self.run_id, step=number, name=step.name, state=StepState.IN_PROGRESS, expected_chunks=None,
            cut_chunks=0, distributed_chunks=0, aggregated_chunks=0, entries=0, retries=0, counters={}, nodes={},
            seconds=0.0,
        )  # fmt: skip


def _losses(counters: dict[str, int]) -> int:
    return sum(counters.get(name, 0) for name in _LOSS_COUNTERS)


def _sentence(error: BaseException) -> str:
    return str(error) if isinstance(error, ElasticError) else f"{type(error).__name__}: {error}"
