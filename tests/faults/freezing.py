"""SIGSTOP and SIGCONT for workers, stations, raylets and masters, for longer than the heartbeat; and a straggler."""

import signal
import time
from collections.abc import Callable

from elastic.engine.run import home_at
from elastic.run_history import RunHistory
from tests.faults.cluster_faults import SUSPENDED, Siege, members, pause, send

#: Seconds of silence after which a process counts as lost, in these runs; and how long they are frozen.
HEARTBEAT = 4
_FROZEN = 3 * HEARTBEAT
_WAKING = 5

#: What a straggler's run is to be: a second copy is made of calls that take so long.
STRAGGLING = {"speculation_timeout": 1, "collect_interval": 0.2}


def freeze(siege: Siege, until: float) -> None:
    """Freeze a worker, a station, a raylet and the master of a run, one after another, and let each go on."""
    siege.begin()
    for strike in (_worker, _station, _raylet, _master):
        if time.monotonic() > until or not siege.wait_for_work(until):
            break
        strike(siege)
    if wait_for(siege.is_over, _WAKING) and siege.driver.returncode == SUSPENDED:
        # A master that was frozen finds that it has not heard of Ray's head for long: it may suspend its run.
        siege.attacks.done["master frozen, and suspended its run"] += 1
        siege.resume()
    siege.end()


def _worker(siege: Siege) -> None:
    pid = siege.freeze_at_work()
    if pid is not None:
        siege.attacks.done["worker frozen"] += 1
        pause(_FROZEN)
        # The engine has ended it by now; else it hears that it may go on.
        send(pid, signal.SIGCONT)


def _station(siege: Siege) -> None:
    _group(siege, "station frozen", b"StationActor")


def _raylet(siege: Siege) -> None:
    _group(siege, "raylet frozen", b"/raylet/raylet\0")


def _group(siege: Siege, kind: str, word: bytes) -> None:
    """Freeze those processes of the second node that have a word in their command."""
    pids = list(members(siege.cluster._nodes[-1], word))
    frozen = [pid for pid in pids if send(pid, signal.SIGSTOP)]
    siege.attacks.done[kind] += bool(frozen)
    pause(_FROZEN if frozen else 0)
    for pid in frozen:
        send(pid, signal.SIGCONT)


def _master(siege: Siege) -> None:
    """Freeze the master; another one is refused meanwhile."""
    send(siege.driver.pid, signal.SIGSTOP)
    siege.attacks.done["master frozen"] += 1
    began = time.monotonic()
    second = siege.second_master()
    _, errors = second.communicate(timeout=120)
    if second.returncode == 0 or "RunLockedError" not in errors:
        siege.wrong(f"a second master ended with {second.returncode}, not refused: {errors[-800:]}")
    siege.attacks.done["second master, refused"] += "RunLockedError" in errors
    pause(max(0.0, _FROZEN - (time.monotonic() - began)))
    send(siege.driver.pid, signal.SIGCONT)


def straggle(siege: Siege) -> None:
    """Let one worker take a hundred times as long as the others."""
    siege.begin()
    if siege.wait_for_work(time.monotonic() + 60):
        (siege.home / "slow").touch()
        siege.attacks.done["straggler, 100 times slower"] += 1
    counters = siege.end(hurry=False)
    if not counters.get("chunks_speculated"):
        siege.wrong(f"no second copy of a straggler's chunks was made: {counters}")


def signalled(siege: Siege, number: signal.Signals) -> None:
    """Send a signal to a master at work: it ends by itself, its run is not damaged, and goes on."""
    siege.begin()
    if not siege.wait_for_work(time.monotonic() + 60):
        siege.wrong(f"nothing is at work: {siege.ended()[2][-800:]}")
        return
    pause(siege.dice.uniform(0.5, 1.5))
    workers = siege.busy()
    siege.driver.send_signal(number)
    siege.attacks.done[f"{number.name} to the master"] += 1
    code, _, _ = siege.ended()
    home = RunHistory(home_at(siege.home))
    state = home.steps(home.find("last"))[0].state
    siege.attacks.counters[f"{number.name}: exit code {code}, {state}"] += 1
    gone = wait_for(lambda: not set(workers) & set(siege.busy()), 30)
    if not gone:
        siege.wrong(f"30 s after {number.name} its workers {set(workers) & set(siege.busy())} are still at work")
    siege.resume()
    siege.end()


def wait_for(holds: Callable[[], bool], seconds: float) -> bool:
    """Wait until something holds; says whether it came to that."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        pause(0.1)
    return holds()
