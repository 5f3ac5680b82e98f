"""A master on a real cluster: `driver.py begin|resume HOME ORDER`; prints its result as one line of JSON.

ORDER is JSON: `entries` of the source, `seconds` that an entry takes, and `options` of the run. HOME has a folder
`busy` with a file for each process that processes an entry; the first of them that finds a file `slow` or `hog` there
stays slow, or allocates four gigabytes. Entries take no time once HOME has a file `hurry`. The exit code is 75 if the
run is suspended, as for the command.
"""

import json
import os
import sys
import time
from pathlib import Path

import elastic
from elastic.core.errors import StepSuspendedError, UsageError

how, home, order = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
busy, hurry, pause = str(home / "busy"), str(home / "hurry"), order["seconds"]
slow, hog = str(home / "slow"), str(home / "hog")


class Tally(elastic.Aggregator):
    """Count of each entry; a sum could hide errors that cancel out."""

    def create(self):
        return {}

    def add(self, state, entry):
        state[entry] = state.get(entry, 0) + 1
        return state

    def merge(self, state, other):
        for entry, times in other.items():
            state[entry] = state.get(entry, 0) + times
        return state

    def finish(self, state):
        return {
            "entries": sum(state.values()),
            "sum": sum(entry * times for entry, times in state.items()),
            "twice": sorted(entry for entry, times in state.items() if times > 1)[:10],
            "distinct": len(state),
        }


def takes(flag):
    """Return whether this process is the first one to claim a file."""
    try:
        os.rename(flag, f"{flag}-{os.getpid()}")  # noqa: PTH104 - sent without this module's imports
    except OSError:
        return os.path.exists(f"{flag}-{os.getpid()}")  # noqa: PTH110
    return True


def work(number):
    if os.path.exists(hurry):  # noqa: PTH110
        return number
    mark = f"{busy}/{os.getpid()}"
    with open(mark, "w"):  # noqa: PTH123
        pass
    time.sleep(pause * 100 if takes(slow) else pause)
    if takes(hog):
        held = b"x" * (4 << 30)
        time.sleep(20)
        del held
    os.unlink(mark)  # noqa: PTH108
    return number


def go_on(flow, options):
    """Resume; if the last master was killed after the end of the run, return the stored result."""
    try:
        return elastic.resume("last", flow, **options)
    except UsageError as refused:
        if "is complete" not in str(refused):
            raise
        return elastic.result_of("last", flow, home=options["home"])


def retried_by_ray():
    """Let Ray repeat calls and restart actors, as a user might configure by mistake."""
    from elastic.stages.ray_backend.node import NO_RETRIES

    NO_RETRIES.update(order["retries"])


def main():
    (home / "busy").mkdir(parents=True, exist_ok=True)
    flow = elastic.from_range(order["entries"], chunk_size=5).map(work).aggregate(Tally())
    # The campaign kills workers at their first chunk repeatedly; the chunk is not the cause.
    options = {"home": home, "collect_interval": 0.5, "cluster": "auto", "max_worker_losses": 1000, **order["options"]}
    if "heartbeat" in options:
        options["heartbeat"] = elastic.Heartbeat(options["heartbeat"])
    if "retries" in order:
        retried_by_ray()
    began = time.time()
    try:
        result = flow.run(**options) if how == "begin" else go_on(flow, options)
    except StepSuspendedError as suspended:
        sys.stderr.write(f"{suspended}\n")
        return 75
    told = {"value": result.value, "entries": result.entries, "chunks": result.chunks, "counters": result.counters}
    sys.stdout.write(json.dumps({**told, "seconds": time.time() - began, "receipts": result.receipts}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
