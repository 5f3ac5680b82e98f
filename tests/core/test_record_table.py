"""Tables of records: any value is one short line, and an HTML table has no markup from data."""

from collections import Counter, namedtuple
from dataclasses import dataclass
from typing import Any

import pytest
from rich.cells import cell_len

from elastic.core.record_table import RecordTable, cut, fields_of, shown

Pair = namedtuple("Pair", ["left", "right"])


@dataclass
class Sale:
    country: str
    price: float


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


SELF: list[Any] = []
SELF.append(SELF)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("nul\0", "nul\\x00"),
        ("half \ud800 pair", "half \\ud800 pair"),
        ("right\u202eleft", "right\\u202eleft"),
        ("", ""),
        (None, "None"),
        (True, "True"),
        (float("nan"), "nan"),
        (-0.0, "-0.0"),
        (b"\xff\0", "b'\\xff\\x00'"),
        ({"a": {"b": [1, (2,)]}}, "{'a': {'b': [1, (\u2026)]}}"),
        ({"a": [1, 2]}, "{'a': [1, 2]}"),
        ((1,), "(1,)"),
        (frozenset(), "{}"),
        (Counter(a=2), "{'a': 2}"),
        (SELF, "[[[[\u2026]]]]"),
        (Unprintable(), "<Unprintable (RuntimeError)>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_is_shown_as_one_line_without_control_characters(value: Any, expected: str) -> None:
    assert shown(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10**6, "\u65e5\u672c" * 1000, "e\u0301" * 500, "\0" * 500, b"\xff" * 10**6, ["y" * 1000] * 10**5,
        dict.fromkeys(range(10 ** 5), "z" * 99), 10**40_000, -(10**40_000), [10**40_000], 10**60,
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
@pytest.mark.parametrize("width", [5, 40])
def test_a_long_value_is_cut_to_the_width_of_a_cell(value: Any, width: int) -> None:
    text = shown(value, width)
    assert 0 < cell_len(text) <= width
    assert text.isprintable()


def test_a_line_that_fits_is_not_cut() -> None:
    assert cut("\u65e5\u672c", 4) == "\u65e5\u672c"
    assert cut("\u65e5\u672c\u8a9e", 4) == "\u65e5\u2026"
    assert cut("abc", 3) == "abc"
    assert cut("abcd", 3) == "ab\u2026"


@pytest.mark.parametrize(
    ("record", "fields"),
    [
        ({"a": 1, 2: None}, {"a": 1, 2: None}),
        (Pair(1, 2), {"left": 1, "right": 2}),
        ((1, "b"), {0: 1, 1: "b"}),
        ((), {}),
        (Sale("CH", 2.5), {"country": "CH", "price": 2.5}),
        (Sale, {"entry": Sale}),
        ([1, 2], {"entry": [1, 2]}),
        ("text", {"entry": "text"}),
        (None, {"entry": None}),
    ],
    ids=str,
)
def test_a_record_has_the_fields_of_its_kind(record: Any, fields: dict[Any, Any]) -> None:
    assert dict(fields_of(record)) == fields


def test_mixed_records_share_a_table_and_missing_fields_are_blank() -> None:
    text = RecordTable.of([{"a": 1, "b": None}, {"a": 22.5}, (3, 4), "x"]).text(80)
    assert text.splitlines() == [
        "   a   b      0   1   entry",
        "\u2500" * 27,
        "   1   None",
        "22.5",
        "              3   4",
        "                      x",
    ]


def test_wide_characters_keep_columns_in_line() -> None:
    records = [{"\u540d": "\u65e5\u672c", "n": 1}, {"\u540d": "a", "n": 2}]
    head, _, first, second = RecordTable.of(records).text(80).splitlines()
    assert {cell_len(line) for line in (head, first, second)} == {8}


def test_columns_that_do_not_fit_are_named_below_the_table() -> None:
    records = [{f"column {number}": "x" * 20 for number in range(9)}]
    lines = RecordTable.of(records).text(60).splitlines()
    assert max(map(cell_len, lines)) <= 60
    assert lines[0].split("   ")[0].strip() == "column 0"
    assert lines[-1].startswith("and 7 more columns: column 2, ")
    assert RecordTable.of([{"a": "x" * 99, "b": 1}]).text(10).splitlines()[-1] == "and 1 mor\u2026"


def test_html_escapes_the_values_and_the_names() -> None:
    page = RecordTable.of([{"<b>": "<script>alert('&')</script>", "n": 1}, {"<b>": '"', "n": 2.5}]).html()
    assert "<script" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;alert(&#x27;&amp;&#x27;)&lt;/script&gt;" in page
    assert '<td style="text-align: right">2.5</td>' in page
    page.encode()


def test_html_has_a_limit_of_columns() -> None:
    page = RecordTable.of([dict.fromkeys(range(100), "\ud800")]).html()
    assert page.count("<th>") == 30
    assert "and 70 more columns" in page
    page.encode()


def test_records_without_fields_make_an_empty_table() -> None:
    table = RecordTable.of([{}, ()])
    assert table.columns == ()
    assert table.text(80).splitlines() == ["(no fields)", "(no fields)"]
    assert table.html().count("<tr>") == 3
