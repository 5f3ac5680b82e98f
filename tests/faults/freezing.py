"""SIGSTOP and SIGCONT for workers, stations, raylets and masters, for longer than the heartbeat; and a straggler."""

import signal
import time
from collections.abc import Callable

from elastic.engine.run import home_at
from elastic.run_history import RunHistory
from tests.faults.cluster_faults import SUSPENDED, AttackedRun, members, pause, send

#: Seconds of silence after which a process counts as lost in these runs, and seconds of a freeze.
HEARTBEAT = 4
_FROZEN = 3 * HEARTBEAT
_WAKING = 5

#: Options of a run with a straggler: seconds after which a call gets a speculative copy.
STRAGGLING = {"speculation_timeout": 1, "collect_interval": 0.2}


def freeze(attacked: AttackedRun, until: float) -> None:
    """Freeze a worker, a station, a raylet and the master of a run, one after another, and resume each."""
    attacked.begin()
    for strike in (_worker, _station, _raylet, _master):
        if time.monotonic() > until or not attacked.wait_for_work(until):
            break
        strike(attacked)
    if wait_for(attacked.is_over, _WAKING) and attacked.driver.returncode == SUSPENDED:
        # A master that was frozen may find Ray's head silent for too long, and suspend its run.
        attacked.attacks.done["master frozen, and suspended its run"] += 1
        attacked.resume()
    attacked.end()


def _worker(attacked: AttackedRun) -> None:
    pid = attacked.freeze_at_work()
    if pid is not None:
        attacked.attacks.done["worker frozen"] += 1
        pause(_FROZEN)
        # The engine has killed it by now; otherwise this resumes it.
        send(pid, signal.SIGCONT)


def _station(attacked: AttackedRun) -> None:
    _group(attacked, "station frozen", b"StationActor")


def _raylet(attacked: AttackedRun) -> None:
    _group(attacked, "raylet frozen", b"/raylet/raylet\0")


def _group(attacked: AttackedRun, kind: str, word: bytes) -> None:
    """Freeze the processes of the second node whose command contains a word."""
    pids = list(members(attacked.cluster._nodes[-1], word))
    frozen = [pid for pid in pids if send(pid, signal.SIGSTOP)]
    attacked.attacks.done[kind] += bool(frozen)
    pause(_FROZEN if frozen else 0)
    for pid in frozen:
        send(pid, signal.SIGCONT)


def _master(attacked: AttackedRun) -> None:
    """Freeze the master; the run refuses another one meanwhile."""
    send(attacked.driver.pid, signal.SIGSTOP)
    attacked.attacks.done["master frozen"] += 1
    began = time.monotonic()
    second = attacked.second_master()
    _, errors = second.communicate(timeout=120)
    if second.returncode == 0 or "RunLockedError" not in errors:
        attacked.wrong(f"a second master ended with {second.returncode}, not refused: {errors[-800:]}")
    attacked.attacks.done["second master, refused"] += "RunLockedError" in errors
    pause(max(0.0, _FROZEN - (time.monotonic() - began)))
    send(attacked.driver.pid, signal.SIGCONT)


def straggle(attacked: AttackedRun) -> None:
    """Make one worker a hundred times as slow as the others."""
    attacked.begin()
    if attacked.wait_for_work(time.monotonic() + 60):
        (attacked.home / "slow").touch()
        attacked.attacks.done["straggler, 100 times slower"] += 1
    counters = attacked.end(hurry=False)
    if not counters.get("chunks_speculated"):
        attacked.wrong(f"no second copy of a straggler's chunks was made: {counters}")


def signalled(attacked: AttackedRun, number: signal.Signals) -> None:
    """Send a signal to a busy master: it ends by itself, and its run is intact and resumes."""
    attacked.begin()
    if not attacked.wait_for_work(time.monotonic() + 60):
        attacked.wrong(f"nothing is at work: {attacked.ended()[2][-800:]}")
        return
    pause(attacked.rng.uniform(0.5, 1.5))
    workers = attacked.busy()
    attacked.driver.send_signal(number)
    attacked.attacks.done[f"{number.name} to the master"] += 1
    code, _, _ = attacked.ended()
    home = RunHistory(home_at(attacked.home))
    state = home.steps(home.find("last"))[0].state
    attacked.attacks.counters[f"{number.name}: exit code {code}, {state}"] += 1
    gone = wait_for(lambda: not set(workers) & set(attacked.busy()), 30)
    if not gone:
        attacked.wrong(f"30 s after {number.name} its workers {set(workers) & set(attacked.busy())} are still at work")
    attacked.resume()
    attacked.end()


def wait_for(holds: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition; return False if the time is over."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        pause(0.1)
    return holds()
