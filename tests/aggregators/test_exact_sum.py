"""Adding columns of keys and integers to a mapping."""

from collections import Counter
from typing import Any

import pytest

from elastic.aggregators.exact.exact_add import add_decoded, add_integers
from elastic.aggregators.states.validation import KEYS_AT_ONCE
from elastic.core.errors import EncodingError

MAPPINGS = pytest.mark.parametrize("kind", [dict, Counter])


@MAPPINGS
@pytest.mark.parametrize("held", [{}, {"a": 1}, {"a": 1, "c": -4}])
def test_a_key_may_come_several_times(kind: type[dict[str, int]], held: dict[str, int]) -> None:
    keys, numbers = ["a", "b", "a", "c", "a"], [1, 2, 30, 4, 500]
    expected = dict(held)
    for key, number in zip(keys, numbers, strict=True):
        expected[key] = expected.get(key, 0) + number
    into = kind(held)
    assert add_integers(into, keys, numbers) is into
    assert into == expected


@pytest.mark.parametrize("held", [{}, {0: 7, KEYS_AT_ONCE: -7}])
@pytest.mark.parametrize("many", [KEYS_AT_ONCE - 1, KEYS_AT_ONCE, KEYS_AT_ONCE + 1])
def test_columns_may_be_longer_than_one_addition(held: dict[int, int], many: int) -> None:
    keys, numbers = [*range(many), *range(many)], [*range(2 * many)]
    expected = dict(held)
    for key, number in zip(keys, numbers, strict=True):
        expected[key] = expected.get(key, 0) + number
    assert add_integers(dict(held), keys, numbers) == expected


@MAPPINGS
def test_a_mapping_may_give_its_keys_and_numbers(kind: type[dict[str, int]]) -> None:
    other = {"b": 1 << 70, "a": -1}
    assert add_integers(kind({"a": 1}), other.keys(), other.values()) == {"a": 0, "b": 1 << 70}


@pytest.mark.parametrize("held", [{}, {"a": 1}])
@pytest.mark.parametrize(("keys", "numbers"), [(["a", "b"], [1]), (["a"], [1, 2])])
def test_columns_of_different_lengths_are_refused_before_anything_is_added(
    held: dict[str, int], keys: list[str], numbers: list[int]
) -> None:
    into: dict[Any, int] = dict(held)
    with pytest.raises(ValueError, match=f"{len(keys)} keys and {len(numbers)} numbers"):
        add_integers(into, keys, numbers)
    assert into == held
    with pytest.raises(EncodingError, match="not a state of Sums"):
        add_decoded(into, keys, numbers, "Sums")
