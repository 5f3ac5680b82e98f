"""SIGKILL and SIGSTOP for any worker, whatever it does: at work, idle, or before it has said its first word."""

import signal
import time

from tests.faults.cluster_faults import SUSPENDED, Attacks, Siege, command_of, members, pause, send

#: Seconds between two strikes.
_BETWEEN = (0.8, 3.0)

#: Seconds in which there must be something at work after a start.
_DROUGHT = 90

#: How soon Ray finds that a process has died before it knew of it: after a minute, by itself.
IMPATIENT = {"RAY_worker_register_timeout_seconds": "15"}

#: One strike of so many freezes.
_FREEZES = 5

#: Seconds of silence after which a process counts as lost, in these runs.
HEARTBEAT = 8

#: Of processes that Ray has for workers: their commands before, and after they know what they are.
_BOOTING, _WORKER = b"default_worker.py", b"WorkerActor"

#: Others whose commands have these words in them as well; a raylet's has that of its workers.
_OTHERS = (b"/raylet/raylet\0", b"StationActor", b"SpillActor", b"IDLE")


def storm(siege: Siege, count: int, until: float) -> None:
    """Kill or freeze any worker every 0.8 to 3 seconds, also those that are starting; resume what is suspended."""
    began = kills(siege.attacks)
    siege.begin()
    # Ray lets no driver in before it has a worker for it, and then waits for that one alone.
    siege.wait_for_work(min(until, time.monotonic() + _DROUGHT))
    frozen: set[int] = set()
    seen: set[int] = set()
    while kills(siege.attacks) - began < count and time.monotonic() < until:
        seen |= set(siege.busy())
        if siege.is_over() and not _resumed(siege):
            break
        _strike(siege, seen, frozen)
        pause(siege.dice.uniform(*_BETWEEN))
    siege.hurry()
    while _resumed(siege):
        pass
    # What was frozen before Ray knew it is ended by nobody else.
    for pid in frozen:
        if any(word in command_of(pid) for word in (_BOOTING, b"ray::")):
            send(pid, signal.SIGKILL)
    siege.judge(*siege.ended())


def kills(attacks: Attacks) -> int:
    """Return how many workers were killed by storms so far."""
    return sum(count for kind, count in attacks.done.items() if kind.startswith("any worker killed"))


def _resumed(siege: Siege) -> bool:
    """Go on with a run that was suspended; says whether it was."""
    if siege.ended()[0] != SUSPENDED:
        return False
    siege.attacks.done["run suspended, and resumed"] += 1
    siege.resume()
    siege.wait_for_work(time.monotonic() + _DROUGHT)
    return True


def _strike(siege: Siege, seen: set[int], frozen: set[int]) -> None:
    booting = [pid for node in siege.cluster._nodes for pid in members(node, _BOOTING)]
    named = [pid for node in siege.cluster._nodes for pid in members(node, _WORKER)]
    targets = sorted(
        {pid for pid in (*booting, *named) if not any(word in command_of(pid) for word in _OTHERS)} - frozen
    )
    if not targets:
        return
    pid = siege.dice.choice(targets)
    when = "at work" if pid in seen else "before its first entry" if pid in named else "before its first word"
    freezes = siege.dice.randrange(_FREEZES) == 0
    if send(pid, signal.SIGSTOP if freezes else signal.SIGKILL):
        siege.attacks.done[f"any worker {'frozen' if freezes else 'killed'}, {when}"] += 1
        if freezes:
            frozen.add(pid)
