"""LazyCounter: a Counter that is filled when a program needs it, and never looks empty."""

import copy
import functools
import json
import operator
import pickle
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from heapq import nlargest
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elastic.core import lazy_counter
from elastic.core.encoding import pack, unpack
from elastic.core.lazy_counter import CountTable, LazyCounter

#: Methods that neither read nor change the dict, and those that only methods of a plain Counter call.
HARMLESS = {
    "__class_getitem__", "__getattribute__", "__missing__", "__new__", "__sizeof__", "_keep_positive", "fromkeys",
}  # fmt: skip
WORDS = {f"word{number}": number % 7 + 1 for number in range(2000)} | {"the": 900, "": 3, "nul\0": 8, "été": 8}


class Table(CountTable):
    def __init__(self, counts: dict[str, int]) -> None:
        self.counts, self.lookups, self.fills = counts, 0, 0

    def __len__(self) -> int:
        return len(self.counts)

    def total(self) -> int:
        return sum(self.counts.values())

    def count_of(self, key: str) -> int | None:
        self.lookups += 1
        return self.counts.get(key)

    def most_common(self, number: int) -> list[tuple[str, int]]:
        return nlargest(number, self.counts.items(), key=operator.itemgetter(1))

    def items(self) -> Iterable[tuple[str, int]]:
        self.fills += 1
        return iter(self.counts.items())


def lazy(counts: dict[str, int] | None = None) -> Any:
    return LazyCounter(Table(WORDS if counts is None else counts))


def is_filled(counter: Any) -> bool:
    return type(counter) is Counter


@pytest.mark.parametrize(
    "ask",
    [
        len,
        bool,
        lambda counter: counter.total(),
        lambda counter: counter.most_common(10),
        lambda counter: counter.most_common(0),
        lambda counter: counter.most_common(-1),
        lambda counter: counter.most_common(1),
        lambda counter: (counter["the"], counter["nul\0"], counter["no word"], counter["\udc00"]),
        lambda counter: (counter.get("the"), counter.get("no word"), counter.get("no word", 5)),
        lambda counter: ("the" in counter, "no word" in counter),
        lambda counter: isinstance(counter, Counter),
    ],
)
def test_questions_are_answered_like_a_counter_without_filling_it(ask: Callable[[Any], Any]) -> None:
    counter = lazy()
    assert ask(counter) == ask(Counter(WORDS))
    assert not is_filled(counter)


OTHER = Counter({"the": 2, "word1": 5, "new": 1})

USES: dict[str, Callable[[Any], Any]] = {
    "dict": dict,
    "unpack": lambda counter: {**counter},
    "keywords": lambda counter: (lambda **words: words)(**counter),
    "list": list,
    "sorted": sorted,
    "reversed": lambda counter: list(reversed(counter)),
    "set": set,
    "keys": lambda counter: list(counter.keys()),
    "values": lambda counter: list(counter.values()),
    "items": lambda counter: list(counter.items()),
    "elements": lambda counter: list(counter.elements()),
    "all common": lambda counter: counter.most_common(),
    "many common": lambda counter: counter.most_common(1500),
    "json": json.dumps,
    "json indented": lambda counter: json.dumps(counter, indent=1),
    "json nested and sorted": lambda counter: json.dumps({"counts": [counter]}, sort_keys=True),
    "repr": repr,
    "str": str,
    "format": lambda counter: f"{counter}",
    "percent": functools.partial(operator.mod, "%(the)s"),
    "format map": "{the}".format_map,
    "pickle": lambda counter: pickle.loads(pickle.dumps(counter)),
    "pickle of old": lambda counter: pickle.loads(pickle.dumps(counter, 0)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "method copy": lambda counter: counter.copy(),
    "copy in C": dict.copy,
    "counter of": Counter,
    "msgpack": lambda counter: msgpack.unpackb(msgpack.packb(counter)),
    "plain data": lambda counter: unpack(pack({"counts": counter})),
    "fromkeys": dict.fromkeys,
    "update of a dict": lambda counter: (found := {"a": 1}, found.update(counter))[0],
    "update of a counter": lambda counter: (found := Counter("a"), found.update(counter))[0],
    "equal": lambda counter: (counter == Counter(WORDS), counter == OTHER, counter != dict(WORDS), counter == 5),
    "equal on the right": lambda counter: [one == counter for one in (Counter(WORDS), OTHER, dict(WORDS))],
    "order": lambda counter: (counter <= OTHER, counter < OTHER, counter > OTHER, counter >= OTHER),
    "add": lambda counter: (counter + OTHER, OTHER + counter),
    "subtract": lambda counter: (counter - OTHER, OTHER - counter),
    "and": lambda counter: (counter & OTHER, OTHER & counter),
    "or": lambda counter: (counter | OTHER, OTHER | counter),
    "or of dicts": lambda counter: counter | {"a": 1},
    "or of a dict and it": lambda counter: {"a": 1} | counter,
    "signs": lambda counter: (+counter, -counter),
    "match": lambda counter: [the for the in [counter] if the["the"]],
    "not a string": lambda counter: (counter[5], counter.get(("a",), 7), None in counter),
    "methods called again": lambda counter: [(items := counter.items, len(items()), len(items()))[1:]],
    "map": lambda counter: list(map(counter.get, ["the", "a"] * 40)),
    "truth of a copy": lambda counter: bool(dict(counter)),
}
CHANGES: dict[str, Callable[[Any], Any]] = {
    "set": lambda counter: operator.setitem(counter, "the", 1),
    "add one": lambda counter: counter.update({"the": counter["the"]}),
    "delete": lambda counter: operator.delitem(counter, "the"),
    "delete a missing one": lambda counter: operator.delitem(counter, "no word"),
    "update": lambda counter: counter.update(["the", "new"]),
    "update by mapping": lambda counter: counter.update(OTHER),
    "subtract": lambda counter: counter.subtract(OTHER),
    "pop": lambda counter: counter.pop("the"),
    "popitem": lambda counter: counter.popitem(),
    "setdefault": lambda counter: counter.setdefault("new", 4),
    "clear": lambda counter: counter.clear(),
    "iadd": lambda counter: operator.iadd(counter, OTHER),
    "isub": lambda counter: operator.isub(counter, OTHER),
    "iand": lambda counter: operator.iand(counter, OTHER),
    "ior": lambda counter: operator.ior(counter, OTHER),
}


@pytest.mark.parametrize("name", USES)
def test_every_use_gives_what_a_counter_gives(name: str) -> None:
    use, counter = USES[name], lazy()
    found, wanted = use(counter), use(Counter(WORDS))
    assert found == wanted
    assert type(found) is type(wanted)
    assert counter == Counter(WORDS)


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_is_that_of_a_counter(name: str) -> None:
    change, counter, plain = CHANGES[name], lazy(), Counter(WORDS)
    assert change(counter) == change(plain)
    assert list(counter.items()) == list(plain.items())
    assert is_filled(counter)


def test_a_method_that_python_adds_would_not_be_forgotten() -> None:
    methods = {name for kind in (Counter, dict) for name, value in vars(kind).items() if callable(value)}
    assert methods - set(vars(LazyCounter)) <= HARMLESS


def test_a_key_that_cannot_be_hashed_is_refused() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        lazy()[["a"]]


def test_it_is_unhashable_as_any_dict() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(lazy())


def test_it_is_filled_once_and_then_a_plain_counter_without_a_trace() -> None:
    counter = lazy()
    table = counter._unfilled.table
    for _ in range(3):
        assert list(counter) == list(WORDS)
    assert (type(counter), vars(counter), table.fills) == (Counter, {}, 1)


def test_many_lookups_fill_it_instead_of_searching_each_time() -> None:
    counter = lazy()
    table = counter._unfilled.table
    assert [counter["the"] for _ in range(100)] == [900] * 100
    assert table.lookups == lazy_counter._MAX_LOOKUPS
    assert is_filled(counter)


@settings(deadline=None)
@given(
    st.dictionaries(st.text(), st.integers(1, 4), min_size=1),
    st.integers(-1, 12),
)
def test_ties_of_the_most_common_keep_the_order_of_its_items(counts: dict[str, int], number: int) -> None:
    assert lazy(counts).most_common(number) == Counter(counts).most_common(number)


def test_what_reads_the_dict_without_its_methods_fails_loudly() -> None:
    counter = lazy()
    ((key, value),) = dict.items(counter)
    for use in (hash, str, repr, bool, int, float, iter, len, sorted, json.dumps, pickle.dumps, copy.deepcopy):
        for one in (key, value):
            with pytest.raises(TypeError):
                use(one)
    for compare in (operator.eq, operator.ne, operator.lt, operator.add):
        with pytest.raises(TypeError, match=r"pass collections\.Counter"):
            compare(key, "the")
    assert counter == Counter(WORDS)


def test_a_table_that_fails_leaves_it_as_it_was() -> None:
    class Torn(Table):
        def items(self) -> Iterable[tuple[str, int]]:
            yield "the", 900
            raise MemoryError

    counter = LazyCounter(Torn(WORDS))
    with pytest.raises(MemoryError):
        dict(counter)
    assert (len(counter), counter["word1"], type(counter)) == (len(WORDS), 2, LazyCounter)
    with pytest.raises(MemoryError):
        json.dumps(counter)


def test_threads_that_read_it_at_once_all_see_the_whole() -> None:
    counter, found = lazy(), []
    start = threading.Barrier(8)

    def read() -> None:
        start.wait()
        found.append((len(list(counter)), counter["the"], sum(counter.values()), len(counter)))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {(len(WORDS), 900, sum(WORDS.values()), len(WORDS))}
