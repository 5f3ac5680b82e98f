"""The benchmarks of files: their inputs, and that a wrong row shows in the check."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.lines_to_parquet import COUNTRIES, check, sale, write_by_hand, write_orders
from benchmarks.parquet_group import FILES, GROUPS, trades_of, write_trades
from benchmarks.parquet_group import check as sums_check
from benchmarks.workload import Contender, Workload

pyarrow = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.parquet")


def write(folder: Path, orders: list[dict[str, Any]]) -> Path:
    """Write the sales of orders by hand and return the folder."""
    folder.mkdir()
    lines = folder / "orders.jsonl"
    lines.write_text("".join(json.dumps(order) + "\n" for order in orders), encoding="utf-8")
    write_by_hand([str(lines)], folder / "sales")
    return folder / "sales"


def some_orders() -> list[dict[str, Any]]:
    common = {"item": "Amber Ä", "quantity": 2, "grams": 250, "note": "Ω"}
    return [{"id": 1, "country": "DE", "price": 5, **common}, {"id": 2, "country": "FR", "price": 7, **common}]


def test_the_check_of_written_files_counts_rows_and_sums_by_key(tmp_path: Path) -> None:
    found = check(write(tmp_path / "a", some_orders()))
    assert {country: rows for country, rows in found["rows"].items() if rows} == {"DE": 1, "FR": 1}
    assert (found["totals"]["DE"], found["totals"]["FR"]) == (10, 14)


@pytest.mark.parametrize("change", [{"country": "FR"}, {"item": "Amber"}, {"note": ""}, {"grams": 251}, {"id": 3}])
def test_one_value_of_one_row_shows_in_the_check(change: dict[str, Any], tmp_path: Path) -> None:
    one, two = some_orders()
    expected = check(write(tmp_path / "a", [one, two]))
    assert check(write(tmp_path / "b", [two, one])) == expected, "the order of rows does not count"
    assert check(write(tmp_path / "c", [{**one, **change}, two])) != expected


@pytest.mark.parametrize("orders", [1, 3])
def test_a_row_written_twice_or_lost_shows_in_the_check(orders: int, tmp_path: Path) -> None:
    one, two = some_orders()
    expected = check(write(tmp_path / "a", [one, two]))
    assert check(write(tmp_path / "b", [one, two, two][:orders])) != expected


def test_the_orders_are_of_all_keys_and_of_the_size_that_was_asked_for(tmp_path: Path) -> None:
    write_orders(1, tmp_path)
    files = sorted(tmp_path.iterdir())
    assert 1 << 20 <= sum(path.stat().st_size for path in files) <= 1.01 * (1 << 20)
    orders = [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    assert [order["id"] for order in orders] == list(range(len(orders)))
    assert {order["country"] for order in orders} == set(COUNTRIES)
    assert sale(orders[0])["total"] == orders[0]["quantity"] * orders[0]["price"]


def test_statistics_skip_most_row_groups_of_the_trades(tmp_path: Path) -> None:
    pytest.importorskip("polars")
    from pyarrow import parquet

    write_trades(2_000, tmp_path)
    footers = [parquet.ParquetFile(path).metadata for path in sorted(tmp_path.iterdir())]
    assert len(footers) == FILES
    assert {(footer.num_row_groups, footer.num_columns) for footer in footers} == {(GROUPS, 20)}
    assert sum(footer.num_rows for footer in footers) == 2_000
    result = trades_of(tmp_path).aggregate("size").run(cluster="inline", home=tmp_path / "home")
    assert result.value == 400
    assert result.chunks < FILES * GROUPS / 4


def test_one_sum_of_another_key_shows_in_the_check() -> None:
    assert sums_check({"a": 1, "b": 2}) == sums_check({"b": 2, "a": 1}) != sums_check({"a": 2, "b": 1})


def test_an_input_is_written_once_and_an_interrupted_one_again(tmp_path: Path) -> None:
    written: list[int] = []

    def write_input(size: int, folder: Path) -> None:
        written.append(size)
        assert list(folder.iterdir()) == []
        (folder / "part").write_text("some", encoding="utf-8")
        if len(written) == 1:
            raise KeyboardInterrupt

    contender = Contender(name="loop", engine="python", carry_out=lambda attempt: {}, baseline="python: loop")
    workload = Workload(key="X", title="", unit="", full=1, contenders=(contender,), write_input=write_input)
    with pytest.raises(KeyboardInterrupt):
        workload.make_input(tmp_path, 7)
    assert not workload.input_of(tmp_path, 7).exists()
    for size in (7, 7, 8):
        workload.make_input(tmp_path, size)
    assert written == [7, 7, 8]
    assert (workload.input_of(tmp_path, 7) / "part").is_file()
