"""Step in the style of ElasticFlow: a task, an aggregate function, and an interceptor that sees each hop.

python examples/ancestors/elasticflow_style.py [CLUSTER]
"""

import sys
from collections import Counter

import elastic

cluster = sys.argv[1] if len(sys.argv) > 1 else "local"
lines = ["to be or not to be", "that is the question", "to sleep perchance to dream", "the rest is silence"]


def count_words(chunk: list[str]) -> dict[str, int]:
    """Count the words of a chunk, a list of entries; the task runs on a worker."""
    return Counter(word for line in chunk for word in line.split())


def add_counts(new: dict[str, int], previous: dict[str, int] | None) -> dict[str, int]:
    """Add the counts of one chunk to the previous ones; runs on the master, in the order of the chunks."""
    return Counter(previous or {}) + Counter(new)


class Narrator(elastic.Interceptor):
    """Interceptor that prints one line for each action."""

    def distributed(self, receipt: elastic.Receipt, task_count: int) -> None:
        print(f"chunk {receipt.chunk_id}  distributed  {task_count} so far")

    def send(self, host_node: str, to: str, action: str, receipt: elastic.Receipt) -> None:
        print(f"chunk {receipt.chunk_id}  sent         {action}")

    def receive(self, host_node: str, to: str, action: str, receipt: elastic.Receipt) -> None:
        print(f"chunk {receipt.chunk_id}  received     {action}")

    def aggregated(self, receipt: elastic.Receipt, task_count: int) -> None:
        print(f"chunk {receipt.chunk_id}  aggregated   {receipt.entries} entries, receipt {receipt}")


step = elastic.Step(
    lines, task=count_words, aggregator=add_counts, interceptor=Narrator, chunk_size=2, cluster=cluster, name="words"
)
with elastic.StepQueue() as queue:
    queue.add(step)
    result = queue.wait()[0].check()

print(dict(sorted(result.value.items())))
print(result)
