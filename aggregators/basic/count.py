"""Count: counts equal entries.

Size: counts all entries.
"""

from collections import Counter, deque
from collections.abc import Collection, Hashable, Iterable, Sequence
from itertools import count
from typing import Any, cast

from elastic.aggregators.exact.exact_add import add_decoded, add_integers
from elastic.aggregators.exact.nan import joined_by_nan
from elastic.aggregators.states.columns import pack_columns, pack_utf8, unpack_columns
from elastic.aggregators.states.utf8_table import Utf8Table
from elastic.aggregators.states.validation import ListOf, is_count, read_mapping, read_state
from elastic.core.contracts.aggregator import Aggregator
from elastic.core.contracts.keyed_aggregator import KeyedAggregator
from elastic.core.encoding import pack
from elastic.core.errors import EncodingError
from elastic.core.lazy_counter import MIN_LAZY_KEYS, LazyCounter


class Count(KeyedAggregator[Hashable, "Counter[Hashable]", "Counter[Hashable]"]):
    """Aggregator that counts equal entries; the result is a `collections.Counter`.

    Entries are hashable plain data. Equal entries are one, as in any Counter: `1`, `1.0` and `True` count together, and
    the result has any one of them. All NaN of a type are one, also inside tuples and frozensets. The counts do not
    depend on the order of merges, but the order of elements does: sort `items()` if ties must have the same order in
    each run.

    The Counter of many words of files is filled when a program iterates over it, compares or changes it. Until then it
    answers `len`, `total`, `most_common(n)` and a few lookups.
    """

    def create(self) -> "Counter[Hashable]":
        return Counter()

    def add(self, state: "Counter[Hashable]", entry: Hashable) -> "Counter[Hashable]":
        state[entry] += 1
        return state

    def add_many(self, state: "Counter[Hashable]", entries: Iterable[Hashable]) -> "Counter[Hashable]":
        # An iterator, because `update` would take a mapping as counts instead of iterating over its keys.
        state.update(iter(entries))
        return state

    def merge(self, state: "Counter[Hashable]", other: "Counter[Hashable]") -> "Counter[Hashable]":
        if len(state) < len(other):
            state, other = other, state
        return add_integers(state, other.keys(), other.values())

    def merge_encoded(self, state: "Counter[Hashable]", data: bytes) -> "Counter[Hashable]":
        if type(self).merge is not Count.merge or type(self).decode is not Count.decode:
            return super().merge_encoded(state, data)
        keys, counts = self.unpack_columns(data)
        if len(state) < len(keys):
            return self.merge(state, Counter(read_mapping(keys, counts, self)))
        return add_decoded(state, keys, counts, self)

    def merge_values(self, one: int, other: int) -> int:
        return one + other

    def add_columns(
        self, state: "Counter[Hashable]", keys: Sequence[Hashable], values: Sequence[int]
    ) -> "Counter[Hashable]":
        return add_integers(state, keys, values)

    def pack_columns(self, keys: Collection[Hashable], values: Collection[int]) -> bytes:
        return pack_columns(keys, values) or pack([list(keys), list(values)])

    def unpack_columns(self, data: bytes) -> tuple[Sequence[Hashable], Sequence[int]]:
        keys, counts = unpack_columns(data) or read_state(data, [list, ListOf(int)], self)
        return keys, counts

    def finish(self, state: "Counter[Hashable]") -> "Counter[Hashable]":
        return _with_one_nan(state) or state.copy()

    def encode(self, state: "Counter[Hashable]") -> bytes:
        state = _with_one_nan(state) or state
        return self.pack_columns(state.keys(), state.values())

    def decode(self, data: bytes) -> "Counter[Hashable]":
        return Counter(read_mapping(*self.unpack_columns(data), self))

    def of_utf8(self) -> Aggregator[Any, Any, "Counter[Hashable]"] | None:
        return Utf8Count() if type(self) is Count else None

    def of_words(self) -> Aggregator[Any, Any, "Counter[Hashable]"] | None:
        # Imported here: a flow without frames needs no Polars.
        from elastic.aggregators.frames.word_count import WordCount

        return WordCount() if type(self) is Count else None


class Utf8Count(Count):
    """Aggregator that counts strings, given as UTF-8; its encoded state is one of `Count`, and so is its result."""

    #: Decoding a table takes longer than counting its words.
    by_reference = True

    def finish(self, state: "Counter[Hashable]") -> "Counter[Hashable]":
        table = Utf8Table(cast("dict[bytes, int]", dict.copy(state)))
        return LazyCounter(table) if len(table) >= MIN_LAZY_KEYS else Counter(dict(table.items()))

    def encode(self, state: "Counter[Hashable]") -> bytes:
        return self.pack_columns(state.keys(), state.values())

    def pack_columns(self, keys: Collection[Hashable], values: Collection[int]) -> bytes:
        texts = cast("Collection[bytes]", keys)
        return pack_utf8(texts, values) or super().pack_columns([text.decode() for text in texts], values)

    def unpack_columns(self, data: bytes) -> tuple[Sequence[Hashable], Sequence[int]]:
        texts, counts = super().unpack_columns(data)
        try:
            return [str.encode(cast("str", text)) for text in texts], counts
        except (TypeError, UnicodeEncodeError) as error:
            raise EncodingError(f"these bytes are not a state of strings ({error})") from error

    def __str__(self) -> str:
        return Count.__name__


def _with_one_nan(counts: "Counter[Hashable]") -> "Counter[Hashable] | None":
    """Return counts with one key for all NaN of a type; None if there is no NaN."""
    joined = joined_by_nan(counts, sum)
    return None if joined is None else Counter(joined)


class Size(Aggregator[Any, int, int]):
    """Aggregator that counts all entries."""

    def create(self) -> int:
        return 0

    def add(self, state: int, entry: Any) -> int:
        return state + 1

    def add_many(self, state: int, entries: Iterable[Any]) -> int:
        counter = count(state)
        # zip draws the entry first, so the counter does not advance at the end of the entries.
        deque(zip(entries, counter, strict=False), maxlen=0)
        return next(counter)

    def merge(self, state: int, other: int) -> int:
        return state + other

    def finish(self, state: int) -> int:
        return state

    def decode(self, data: bytes) -> int:
        number: int = read_state(data, is_count, self)
        return number

    def of_words(self) -> Aggregator[Any, int, int] | None:
        from elastic.aggregators.frames.word_reduction import WordReduction

        return WordReduction(self, lambda state, words: state + len(words)) if type(self) is Size else None
