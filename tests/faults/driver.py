"""A master on a real cluster: `driver.py begin|resume HOME ENTRIES`; prints its result as one line of JSON."""

import json
import os
import sys
import time
from pathlib import Path

import elastic
from elastic.core.errors import UsageError

home, entries = Path(sys.argv[2]), int(sys.argv[3])
pids = str(home / "pids")


class Tally(elastic.Aggregator):
    """How often each entry was there; and nothing is hidden by a sum."""

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


def work(number):
    # Whoever kills workers must know which processes they are.
    with open(os.path.join(pids, str(os.getpid())), "w"):  # noqa: PTH118, PTH123 - sent without this module's imports
        pass
    time.sleep(0.01)
    return number


def go_on(flow, options):
    """Resume; a master that was killed behind the end of its run has left a result, and nothing to do."""
    try:
        return elastic.resume("last", flow, **options)
    except UsageError as refused:
        if "is complete" not in str(refused):
            raise
        return elastic.result_of("last", flow, home=options["home"])


if __name__ == "__main__":
    (home / "pids").mkdir(parents=True, exist_ok=True)
    flow = elastic.from_range(entries, chunk_size=5).map(work).aggregate(Tally())
    # Workers are killed at their first chunk, again and again; that says nothing about the chunk.
    options = {"home": home, "collect_seconds": 0.5, "cluster": "auto", "max_attempts": 1000}
    began = time.time()
    result = flow.run(**options) if sys.argv[1] == "begin" else go_on(flow, options)
    told = {"value": result.value, "entries": result.entries, "chunks": result.chunks, "counters": result.counters}
    sys.stdout.write(json.dumps({**told, "seconds": time.time() - began, "receipts": result.receipts}) + "\n")
