"""Run on a Ray cluster of several machines and print the share of each node.

Generate a token and start Ray with it on the first machine:

    ray get-auth-token --generate        # writes ~/.ray/auth_token
    export RAY_AUTH_MODE=token
    ray start --head --port=6379

Copy ~/.ray/auth_token to the other machines, and on each of them:

    export RAY_AUTH_MODE=token
    ray start --address=FIRST_MACHINE:6379

Every machine needs the same versions of Python, Ray and Elastic. Only the machine that runs this script needs it:

    export RAY_ADDRESS=FIRST_MACHINE:6379
    python examples/ray_cluster.py
"""

import sys

import elastic
from elastic.aggregators import Count
from elastic.interceptors import Counters

cluster = sys.argv[1] if len(sys.argv) > 1 else "auto"


def smallest_factor(number: int) -> int:
    """Return the smallest prime factor of a number. Elastic ships the functions of this script to the workers."""
    factor = 2
    while factor * factor <= number and number % factor:
        factor += 1
    return factor if number % factor == 0 else number


counters = Counters()
flow = elastic.from_range(2, 300_000, chunk_size=1_000).map(smallest_factor).aggregate(Count())
result = flow.run(interceptor=counters, cluster=cluster)

print("smallest factors:", sorted(result.value.items())[:5])
for node, entries in sorted(counters.entries.items()):
    print(f"{node}: {entries:,} entries")
print(result)
