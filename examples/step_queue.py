"""Queue three steps; they run one after another, and one that fails does not stop the others.

python examples/step_queue.py [CLUSTER]
"""

import sys

import elastic
from elastic.aggregators import Max, Sum

cluster = sys.argv[1] if len(sys.argv) > 1 else "local"


def collatz(number: int) -> int:
    """Return the number of Collatz steps from a number to 1."""
    steps = 0
    while number != 1:
        number = number // 2 if number % 2 == 0 else 3 * number + 1
        steps += 1
    return steps


numbers = elastic.from_range(1, 3_000, chunk_size=500).options(cluster=cluster)
inverses = elastic.from_range(-5, 5).map(lambda number: 1 / number).options(cluster=cluster)

with elastic.StepQueue() as queue:
    queue.add(numbers.map(collatz).aggregate(Max()).options(name="longest"))
    queue.add(inverses.aggregate(Sum()).options(name="inverses"))
    queue.add(numbers.aggregate(Sum()).options(name="total"))
    results = queue.wait()

for result, error in zip(results, queue.errors(), strict=True):
    print(f"{result.name:<9} {result.state:<9} {error or result.value}")
