"""SIGKILL and SIGSTOP for any worker: busy, idle, or before its first report."""

import signal
import time

from tests.faults.cluster_faults import SUSPENDED, AttackedRun, Attacks, command_of, members, pause, send

#: Seconds between two signals.
_BETWEEN = (0.8, 3.0)

#: Seconds after a start in which a worker must be busy.
_DROUGHT = 90

#: Seconds until Ray detects that a process died before it registered; by default a minute.
IMPATIENT = {"RAY_worker_register_timeout_seconds": "15"}

#: One of this many signals is a freeze.
_FREEZES = 5

#: Seconds of silence after which a process counts as lost in these runs.
HEARTBEAT = 8

#: Commands of Ray's worker processes, before and after they get an actor.
_BOOTING, _WORKER = b"default_worker.py", b"WorkerActor"

#: Other processes whose commands contain these words; a raylet's contains that of its workers.
_OTHERS = (b"/raylet/raylet\0", b"StationActor", b"SpillActor", b"IDLE")


def storm(attacked: AttackedRun, count: int, until: float) -> None:
    """Kill or freeze any worker every 0.8 to 3 seconds, including starting ones; resume suspended runs."""
    began = kills(attacked.attacks)
    attacked.begin()
    # Ray accepts a driver only when it has a worker for it, and waits only for that worker.
    attacked.wait_for_work(min(until, time.monotonic() + _DROUGHT))
    frozen: set[int] = set()
    seen: set[int] = set()
    while kills(attacked.attacks) - began < count and time.monotonic() < until:
        seen |= set(attacked.busy())
        if attacked.is_over() and not _resumed(attacked):
            break
        _strike(attacked, seen, frozen)
        pause(attacked.rng.uniform(*_BETWEEN))
    attacked.hurry()
    while _resumed(attacked):
        pass
    # Ray does not kill a process that was frozen before it registered.
    for pid in frozen:
        if any(word in command_of(pid) for word in (_BOOTING, b"ray::")):
            send(pid, signal.SIGKILL)
    attacked.judge(*attacked.ended())


def kills(attacks: Attacks) -> int:
    """Return the number of workers that storms have killed."""
    return sum(count for kind, count in attacks.done.items() if kind.startswith("any worker killed"))


def _resumed(attacked: AttackedRun) -> bool:
    """Resume a suspended run; return whether it was suspended."""
    if attacked.ended()[0] != SUSPENDED:
        return False
    attacked.attacks.done["run suspended, and resumed"] += 1
    attacked.resume()
    attacked.wait_for_work(time.monotonic() + _DROUGHT)
    return True


def _strike(attacked: AttackedRun, seen: set[int], frozen: set[int]) -> None:
    booting = [pid for node in attacked.cluster._nodes for pid in members(node, _BOOTING)]
    named = [pid for node in attacked.cluster._nodes for pid in members(node, _WORKER)]
    targets = sorted(
        {pid for pid in (*booting, *named) if not any(word in command_of(pid) for word in _OTHERS)} - frozen
    )
    if not targets:
        return
    pid = attacked.rng.choice(targets)
    when = "at work" if pid in seen else "before its first entry" if pid in named else "before its first word"
    freezes = attacked.rng.randrange(_FREEZES) == 0
    if send(pid, signal.SIGSTOP if freezes else signal.SIGKILL):
        attacked.attacks.done[f"any worker {'frozen' if freezes else 'killed'}, {when}"] += 1
        if freezes:
            frozen.add(pid)
