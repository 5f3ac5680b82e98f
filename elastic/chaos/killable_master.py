"""A master in a process of its own, which may be killed on its way: what rounds of chaos need to kill one.

Run as `python -m elastic.chaos.killable_master ERRAND FILE`. FILE is the number of an open file that it reports to: one
JSON document a line, first the id of its run, and at its end the outcome.
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

#: Seconds between collections in a round: often, so that there are results to strike.
_COLLECT_SECONDS = 0.1

#: Seconds after which a frozen process is found out in a round.
_HEARTBEAT = 3.0

#: Seconds in which a master that is asked to end has ended its workers.
_END_SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterJob:
    """What a master of its own is sent to do."""

    target: str
    #: spirits that strike while it is at work
    chaos: Chaos | None
    seed: int
    #: chunks that the flow has
    chunks: int
    options: GivenOptions
    #: how many masters came before
    number: int = 0
    #: the run to go on with; None to begin one
    run_id: str | None = None
    #: it is killed on its way
    dies: bool = False

    def step(self) -> Step:
        """Return the step as a round runs it."""
        return with_chaos_options(step_at(self.target).with_options(**self.options), self.chaos)

    def struck(self, low: int) -> Chaos | None:
        """Return the chaos of this master, of whose run the chunks below `low` are in the result."""
        # Other dice than those of the master before, or the same would befall both.
        seed = self.seed + (self.number << 32)
        chaos = None if self.chaos is None else replace(self.chaos, seed=seed)
        if not self.dies:
            return chaos
        doom = MasterKill.drawn(f"{self.seed} doom {self.number}", low, self.chunks)
        return Chaos(spirits=(), doom=doom) if chaos is None else replace(chaos, doom=doom)

    def text(self) -> str:
        """Return this errand as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> "MasterJob":
        """Return the errand that `text` was made of."""
        given: dict[str, Any] = json.loads(text)
        chaos = given.pop("chaos")
        return cls(**given, chaos=None if chaos is None else Chaos(**chaos))


def run_master(errand: MasterJob) -> RunOutcome:
    """Have an errand carried out by a process, and return how that ended; without answer and error if it was killed.

    The process ends with this one, and when this call is interrupted.
    """
    reads, writes = os.pipe()
    command = [sys.executable, "-m", __name__, errand.text(), str(writes)]
    # What the flow prints goes where messages go, because results for programs are printed to the standard output.
    master = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=2, pass_fds=(writes,))  # noqa: S603 - our own
    os.close(writes)
    try:
        with os.fdopen(reads) as reports:
            told: dict[str, Any] = {}
            for line in reports:
                told |= json.loads(line)
        status = master.wait()
    finally:
        _end(master)
    run_id = told.get("run_id", "")
    if "outcome" in told:
        answer = told["outcome"].pop("answer")
        return RunOutcome(**told["outcome"], answer=None if answer is None else ResultDigest(**answer))
    error = "" if status == -signal.SIGKILL and run_id else f"its master ended with {status}"
    return RunOutcome(run_id=run_id, answer=None, counters={}, error=error)


def _end(master: "subprocess.Popen[bytes]") -> None:
    """End a master that is still at work, and its workers with it."""
    if master.stdin is not None:
        # It takes the end of its input for the end of whoever sent it.
        master.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        master.wait(_END_SECONDS)
    if master.poll() is None:
        master.kill()
        master.wait()


def _end_with_sender() -> None:
    """Interrupt this process when the one that has sent it ends or loses interest."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGINT)


def with_chaos_options(step: Step, chaos: Chaos | None) -> Step:
    """Return a step with chaos, and with times at which a round need not wait long."""
    step = step.with_options(chaos=chaos, collect_interval=_COLLECT_SECONDS)
    heartbeat = step.options.heartbeat
    # One of the user's own class knows better.
    is_patient = type(heartbeat) is Heartbeat and heartbeat.timeout > _HEARTBEAT
    return step.with_options(heartbeat=Heartbeat(_HEARTBEAT)) if is_patient else step


def _work(errand: MasterJob, report: Any) -> RunOutcome:
    step = errand.step()
    if errand.run_id is None:
        run = FlowRun.create(step.options.home, step.options.chunk_store)
    else:
        run = FlowRun.open(step.options.home, errand.run_id)
    report(run_id=run.run_id)
    try:
        if errand.run_id is None:
            metadata = {"target": errand.target, "folder": os.getcwd()}  # noqa: PTH109 - as text
            return RunOutcome.of(run.master(0, step.with_options(chaos=errand.struck(0)), metadata=metadata).run())
        low = record_of(run, 0).low
        struck = step.with_options(chaos=errand.struck(low))
        return RunOutcome.of(Resumption.of(run, 0, struck, reread_source=not step.source.replayable).run())
    except ElasticError as error:
        return RunOutcome(run_id=run.run_id, answer=None, counters={}, error=str(error))
    finally:
        run.close()


def main() -> None:
    """Carry out the errand that the command line holds."""
    errand, file = MasterJob.of(sys.argv[1]), int(sys.argv[2])

    def report(**told: Any) -> None:
        os.write(file, json.dumps(told).encode() + b"\n")

    threading.Thread(target=_end_with_sender, daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        report(outcome=asdict(_work(errand, report)))


if __name__ == "__main__":
    main()
