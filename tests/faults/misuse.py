"""Ray with harmful settings: it loses replies, repeats calls, restarts actors, and kills large workers."""

import json
import signal
import time
from pathlib import Path

from tests.faults.cluster_faults import AttackedRun, pause

#: Settings by which Ray loses some percent of the requests and replies of calls to actors in each process.
LOSING = {
    "RAY_testing_rpc_failure": json.dumps(
        {
            "CoreWorkerService.grpc_client.PushTask": {
                "num_failures": 20,
                "req_failure_prob": 2,
                "resp_failure_prob": 2,
                "in_flight_failure_prob": 2,
            }
        }
    )
}

#: Settings that a user might choose without knowing why Elastic does not.
RETRIES = ({"max_task_retries": -1}, {"max_task_retries": -1, "max_restarts": -1})

#: Additional bytes in use on this machine at which Ray kills a worker; a worker allocates a gigabyte more.
_ROOM = 3 << 30


def lose_answers(attacked: AttackedRun, *, retried: bool) -> None:
    """Run a flow while Ray loses requests and replies; resume a run that fails or hangs without these losses."""
    attacked.begin(**LOSING)
    kind = "run with lost requests and answers of Ray"
    attacked.attacks.done[f"{kind}, repeated by Ray" if retried else kind] += 1
    before = len(attacked.attacks.problems)
    attacked.end(hurry=False)
    if len(attacked.attacks.problems) > before:
        attacked.resume()
        attacked.end(hurry=False)


def kill_retried(attacked: AttackedRun, count: int, until: float) -> None:
    """Kill workers that Ray restarts, and whose calls it repeats."""
    attacked.begin()
    killed = 0
    while killed < count and not attacked.is_over() and time.monotonic() < until:
        killed += attacked.kill_at_work()
        pause(attacked.rng.uniform(0.05, 0.5))
    attacked.attacks.done["worker killed, calls repeated by Ray"] += killed
    attacked.attacks.done["worker killed"] -= killed
    attacked.end()


def little_memory() -> dict[str, str]:
    """Return the environment of nodes that kill large workers."""
    facts = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (int(facts[name].split()[0]) << 10 for name in ("MemTotal", "MemAvailable"))
    return {
        "RAY_memory_usage_threshold": f"{(total - free + _ROOM) / total:.4f}",
        "RAY_memory_monitor_refresh_ms": "100",
    }


def overfill(attacked: AttackedRun, count: int, until: float) -> None:
    """Let workers allocate too much memory, so that Ray kills them."""
    attacked.begin()
    for _ in range(count):
        if not attacked.wait_for_work(until):
            break
        (attacked.home / "hog").touch()
        ended = _hog_ended(attacked, min(until, time.monotonic() + 60))
        attacked.attacks.done["worker out of memory, ended by Ray"] += ended
    (attacked.home / "hog").unlink(missing_ok=True)
    attacked.end()


def _hog_ended(attacked: AttackedRun, until: float) -> bool:
    while time.monotonic() < until and not attacked.is_over():
        for path in attacked.home.glob("hog-*"):
            pid = int(path.name.partition("-")[2])
            if not Path(f"/proc/{pid}").exists():
                path.unlink()
                return True
        pause(0.1)
    attacked.wrong(f"no worker was ended for its memory: {attacked.where()}")
    return False


#: Signals after which a master must end by itself and leave a run that can be resumed.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
