"""Ray told to do what it must not: to lose answers, to repeat calls, to bring actors back, to end large workers."""

import json
import signal
import time
from pathlib import Path

from tests.faults.cluster_faults import Siege, pause

#: Ray loses so many percent of the requests and answers of calls to actors, some of each process.
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

#: Each of them is what somebody might set who has not read why it is not set.
RETRIES = ({"max_task_retries": -1}, {"max_task_retries": -1, "max_restarts": -1})

#: Bytes that may be taken more on this machine before Ray ends a worker; a worker takes a gigabyte more than that.
_ROOM = 3 << 30


def lose_answers(siege: Siege, *, retried: bool) -> None:
    """Carry out a run while Ray loses requests and answers; one that fails or hangs is resumed without that."""
    siege.begin(**LOSING)
    kind = "run with lost requests and answers of Ray"
    siege.attacks.done[f"{kind}, repeated by Ray" if retried else kind] += 1
    before = len(siege.attacks.problems)
    siege.end(hurry=False)
    if len(siege.attacks.problems) > before:
        siege.resume()
        siege.end(hurry=False)


def kill_retried(siege: Siege, count: int, until: float) -> None:
    """Kill workers that Ray brings back, and whose calls it repeats."""
    siege.begin()
    killed = 0
    while killed < count and not siege.is_over() and time.monotonic() < until:
        killed += siege.kill_at_work()
        pause(siege.dice.uniform(0.05, 0.5))
    siege.attacks.done["worker killed, calls repeated by Ray"] += killed
    siege.attacks.done["worker killed"] -= killed
    siege.end()


def little_memory() -> dict[str, str]:
    """Return the environment of nodes that end workers soon."""
    facts = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (int(facts[name].split()[0]) << 10 for name in ("MemTotal", "MemAvailable"))
    return {
        "RAY_memory_usage_threshold": f"{(total - free + _ROOM) / total:.4f}",
        "RAY_memory_monitor_refresh_ms": "100",
    }


def overfill(siege: Siege, count: int, until: float) -> None:
    """Let workers take more memory than there is: Ray ends them."""
    siege.begin()
    for _ in range(count):
        if not siege.wait_for_work(until):
            break
        (siege.home / "hog").touch()
        ended = _hog_ended(siege, min(until, time.monotonic() + 60))
        siege.attacks.done["worker out of memory, ended by Ray"] += ended
    (siege.home / "hog").unlink(missing_ok=True)
    siege.end()


def _hog_ended(siege: Siege, until: float) -> bool:
    while time.monotonic() < until and not siege.is_over():
        for path in siege.home.glob("hog-*"):
            pid = int(path.name.partition("-")[2])
            if not Path(f"/proc/{pid}").exists():
                path.unlink()
                return True
        pause(0.1)
    siege.wrong(f"no worker was ended for its memory: {siege.where()}")
    return False


#: Signals after which a master must end by itself and leave a run that goes on.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
