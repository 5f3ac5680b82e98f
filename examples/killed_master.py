"""Kill the master halfway, resume in another process, and compare the results bit for bit.

python examples/killed_master.py [CLUSTER]
"""

import os
import re
import signal
import subprocess
import sys

import elastic

ENTRIES = 200_000


def root(number: int) -> float:
    return number**0.5


FLOW = elastic.from_range(ENTRIES, chunk_size=500).map(root).aggregate("sum")


class KillAtHalf(elastic.Interceptor):
    """Interceptor that kills this process when half of the chunks are in the result."""

    def step_started(self, progress: elastic.Progress) -> None:
        print("run", progress.run_id, flush=True)

    def aggregated(self, receipt: elastic.Receipt, task_count: int) -> None:
        if task_count >= ENTRIES // 500 // 2:
            os.kill(os.getpid(), signal.SIGKILL)


def main(cluster: str = "inline") -> None:
    if os.environ.get("KILL_AT_HALF"):
        FLOW.run(cluster=cluster, interceptor=KillAtHalf, max_chunks_per_call=10, collect_interval=0.05)
        return
    clean = FLOW.run(cluster=cluster)
    killed = subprocess.run(
        [sys.executable, __file__, cluster],
        env={**os.environ, "KILL_AT_HALF": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    run_id = re.findall(r"run (\S+)", killed.stdout)[0]
    print(f"the master of run {run_id} ended by signal {-killed.returncode}")
    resumed = elastic.resume(run_id, FLOW, cluster=cluster)
    print(resumed)
    print(f"same result: {resumed.value == clean.value}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
