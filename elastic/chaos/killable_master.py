"""Killable master: runs a flow in a separate process, which a chaos round may kill and replace.

Run as `python -m elastic.chaos.killable_master JOB FILE`. FILE is the number of an open file for its reports: one JSON
document per line, first the id of its run, and at its end the outcome.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass, replace
from typing import Any

from elastic.chaos.outcome import ResultDigest, RunOutcome
from elastic.core.contracts.heartbeat import Heartbeat
from elastic.core.errors import ElasticError
from elastic.core.policies.chaos import Chaos, MasterKill
from elastic.engine.options import GivenOptions
from elastic.engine.run import FlowRun
from elastic.engine.step import Step
from elastic.flow.loader import step_at
from elastic.recovery.resume import Resumption, record_of

#: Seconds between collections in a round; short, so that there are results to corrupt.
_COLLECT_INTERVAL = 0.1

#: Seconds after which a frozen process counts as lost in a round.
_HEARTBEAT_TIMEOUT = 3.0

#: Seconds that a master may take to end its workers before it is killed.
_END_TIMEOUT = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterJob:
    """Job of one master process, serialized as JSON."""

    target: str
    #: faults to inject while the master works
    chaos: Chaos | None
    seed: int
    #: number of chunks of the flow
    chunks: int
    options: GivenOptions
    #: number of earlier masters
    number: int = 0
    #: id of the run to resume; None to begin one
    run_id: str | None = None
    #: True: the master is killed before its end
    is_killed: bool = False

    def step(self) -> Step:
        """Return the step with the options of a round."""
        return with_chaos_options(step_at(self.target).with_options(**self.options), self.chaos)

    def chaos_for(self, low: int) -> Chaos | None:
        """Return the chaos of this master, whose run has all chunks below `low` in its result."""
        # Another seed than that of the master before, or both would meet the same faults.
        seed = self.seed + (self.number << 32)
        chaos = None if self.chaos is None else replace(self.chaos, seed=seed)
        if not self.is_killed:
            return chaos
        doom = MasterKill.drawn(f"{self.seed} doom {self.number}", low, self.chunks)
        return Chaos(spirits=(), doom=doom) if chaos is None else replace(chaos, doom=doom)

    def text(self) -> str:
        """Return this job as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> "MasterJob":
        """Return the job of a JSON text that `text` made."""
        given: dict[str, Any] = json.loads(text)
        chaos = given.pop("chaos")
        return cls(**given, chaos=None if chaos is None else Chaos(**chaos))


def run_master(job: MasterJob) -> RunOutcome:
    """Run a job in another process and return its outcome; a killed master has neither an answer nor an error.

    The process ends when this one ends or this call is interrupted.
    """
    reads, writes = os.pipe()
    command = [sys.executable, "-m", __name__, job.text(), str(writes)]
    # The flow prints to the standard error, because the standard output is for results that programs read.
    master = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=2, pass_fds=(writes,))  # noqa: S603 - our own
    os.close(writes)
    try:
        with os.fdopen(reads) as reports:
            report: dict[str, Any] = {}
            for line in reports:
                report |= json.loads(line)
        status = master.wait()
    finally:
        _end(master)
    run_id = report.get("run_id", "")
    if "outcome" in report:
        answer = report["outcome"].pop("answer")
        return RunOutcome(**report["outcome"], answer=None if answer is None else ResultDigest(**answer))
    error = "" if status == -signal.SIGKILL and run_id else f"its master ended with {status}"
    return RunOutcome(run_id=run_id, answer=None, counters={}, error=error)


def _end(master: "subprocess.Popen[bytes]") -> None:
    """End a master that still works, together with its workers."""
    if master.stdin is not None:
        # The master ends at the end of its input.
        master.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        master.wait(_END_TIMEOUT)
    if master.poll() is None:
        master.kill()
        master.wait()


def _end_with_parent() -> None:
    """Interrupt this process when its parent ends or closes the pipe."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGINT)


def with_chaos_options(step: Step, chaos: Chaos | None) -> Step:
    """Return a step with chaos, and with short intervals, so that a round is quick."""
    step = step.with_options(chaos=chaos, collect_interval=_COLLECT_INTERVAL)
    heartbeat = step.options.heartbeat
    # A heartbeat of a user's class stays as it is.
    is_slow = type(heartbeat) is Heartbeat and heartbeat.timeout > _HEARTBEAT_TIMEOUT
    return step.with_options(heartbeat=Heartbeat(_HEARTBEAT_TIMEOUT)) if is_slow else step


def _work(job: MasterJob, report: Any) -> RunOutcome:
    step = job.step()
    if job.run_id is None:
        run = FlowRun.create(step.options.home, step.options.chunk_store)
    else:
        run = FlowRun.open(step.options.home, job.run_id)
    report(run_id=run.run_id)
    try:
        if job.run_id is None:
            metadata = {"target": job.target, "folder": os.getcwd()}  # noqa: PTH109 - as text
            return RunOutcome.of(run.master(0, step.with_options(chaos=job.chaos_for(0)), metadata=metadata).run())
        low = record_of(run, 0).low
        disturbed = step.with_options(chaos=job.chaos_for(low))
        return RunOutcome.of(Resumption.of(run, 0, disturbed, reread_source=not step.source.replayable).run())
    except ElasticError as error:
        return RunOutcome(run_id=run.run_id, answer=None, counters={}, error=str(error))
    finally:
        run.close()


def main() -> None:
    """Run the job of the command line."""
    job, file = MasterJob.of(sys.argv[1]), int(sys.argv[2])

    def report(**told: Any) -> None:
        os.write(file, json.dumps(told).encode() + b"\n")

    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        report(outcome=asdict(_work(job, report)))


if __name__ == "__main__":
    main()
