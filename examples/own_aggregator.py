"""Index Python's help with a custom aggregator: which topics mention a word?

python examples/own_aggregator.py [CLUSTER]
"""

import sys
from collections.abc import Iterator
from pydoc_data.topics import topics

import elastic

cluster = sys.argv[1] if len(sys.argv) > 1 else "local"

Mention = tuple[str, str]


class Index(elastic.Aggregator[Mention, dict[str, set[str]], dict[str, list[str]]]):
    """Aggregator that maps each word to the topics that mention it.

    Workers build a state with `create` and `add`. `merge` combines the states of all workers, in any order.
    `finish` converts the final state into the result.
    """

    def create(self) -> dict[str, set[str]]:
        return {}

    def add(self, state: dict[str, set[str]], entry: Mention) -> dict[str, set[str]]:
        word, topic = entry
        state.setdefault(word, set()).add(topic)
        return state

    def merge(self, state: dict[str, set[str]], other: dict[str, set[str]]) -> dict[str, set[str]]:
        for word, found in other.items():
            state.setdefault(word, set()).update(found)
        return state

    def finish(self, state: dict[str, set[str]]) -> dict[str, list[str]]:
        return {word: sorted(found) for word, found in sorted(state.items())}


def mentions(page: tuple[str, str]) -> Iterator[Mention]:
    """Return each word of a page with the topic of the page."""
    topic, text = page
    return ((word, topic) for word in text.split())


index = elastic.from_iterable(list(topics.items()), chunk_size=10).flat_map(mentions).aggregate(Index())
result = index.run(cluster=cluster)

print("generator:", ", ".join(result.value["generator"]))
print(result)
