"""Files of rows: readers get the written values, or the writer refuses them."""

import datetime as dt
import gc
import json
import os
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from elastic.core.errors import EncodingError, StoreError
from elastic.persistence.result_files.output_folder import FolderSink

#: Rows that fill a group.
GROUP = 1 << 17

DAY, AWARE = dt.date(2026, 1, 1), dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
NOON, EAST = AWARE.replace(tzinfo=None), dt.timezone(dt.timedelta(hours=3))


def output(folder: Path) -> FolderSink:
    made = FolderSink(folder, 1, ("a run", 0))
    made.prepare()
    return made


def write(folder: Path, *groups: list[Any]) -> list[Any]:
    """Write columns of values, each for a group, and return the values that a reader gets."""
    with output(folder).open() as file:
        for number, values in enumerate(groups):
            file.write(range(number * GROUP, number * GROUP + len(values)), values)
    path = folder / file.part.name
    if folder.suffix == ".jsonl":
        return [json.loads(line)["value"] for line in path.read_text().splitlines()]
    table = parquet.read_table(path) if folder.suffix == ".parquet" else pa.ipc.open_file(path).read_all()
    read: list[Any] = table["value"].to_pylist()
    return read


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
@pytest.mark.parametrize(
    ("first", "later"),
    [
        (1, 1.5),
        (1, 1.0),
        (0.5, 2**53 + 1),
        ({"a": 1}, {"a": 1, "b": 2}),
        (DAY, NOON),
        (NOON, DAY),
        (NOON, AWARE),
        (AWARE, NOON),
        ("a", b"a"),
        (b"a", "a"),
        ([1], [1.5]),
        (Decimal("0.5"), Decimal("0.25")),
    ],
    ids=str,
)
def test_later_rows_of_another_type_are_refused(first: Any, later: Any, suffix: str, tmp_path: Path) -> None:
    folder = tmp_path / f"a{suffix}"
    with pytest.raises(EncodingError, match=r"do not fit into columns .*named \*\.jsonl"):
        write(folder, [first] * GROUP, [later])
    assert not list(folder.glob("result-*"))


@pytest.mark.parametrize(
    ("first", "later", "read"),
    [
        (1, None, None),
        (0.5, 2, 2.0),
        ([1], [], []),
        ({"a": 1, "b": [1]}, {"b": []}, {"a": None, "b": []}),
        (Decimal("1.25"), Decimal("0.5"), Decimal("0.5")),
        (Decimal("1.25"), 1, Decimal(1)),
        (AWARE, AWARE.astimezone(EAST), AWARE),
    ],
    ids=str,
)
def test_later_rows_that_are_equal_in_the_type_of_the_first_are_written(
    first: Any, later: Any, read: Any, tmp_path: Path
) -> None:
    assert write(tmp_path / "a.parquet", [first] * GROUP, [later]) == [*[first] * GROUP, read]


def test_values_that_are_none_at_first_have_the_type_of_those_that_follow(tmp_path: Path) -> None:
    empty: list[Any] = [None] * GROUP
    assert write(tmp_path / "a.parquet", empty, empty, ["text"]) == [*empty, *empty, "text"]
    assert write(tmp_path / "b.parquet", empty) == empty


@pytest.mark.parametrize(
    "values",
    [
        ["a", b"a"],
        [NOON, AWARE],
        [AWARE, NOON],
        [DAY, NOON],
        [NOON, 1],
        [1.0, True],
        [True, 2],
        [2**53 + 1, 0.5],
        [dt.time(12, tzinfo=dt.UTC)],
        [["a"], [b"a"]],
        [{"a": "b"}, None, {"a": b"b"}],
        [{"a": 1}, {b"a": 2}],
        [{}],
    ],
    ids=str,
)
def test_values_that_would_become_others_are_refused(values: list[Any], tmp_path: Path) -> None:
    with pytest.raises(EncodingError, match=r"do not fit into columns .*named \*\.jsonl"):
        write(tmp_path / "a.parquet", values)


def test_values_of_several_types_that_stay_equal_are_written(tmp_path: Path) -> None:
    assert write(tmp_path / "a.parquet", [1, 0.5, None]) == [1.0, 0.5, None]
    assert write(tmp_path / "b.parquet", [[1], (2,)]) == [[1], [2]]
    assert write(tmp_path / "c.parquet", [Counter(a=1), {"a": 2}]) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_a_file_that_was_refused_writes_nothing_into_another_one(suffix: str, tmp_path: Path) -> None:
    found: EncodingError | None = None
    try:
        write(tmp_path / f"a{suffix}", [1] * GROUP, ["text"])
    except EncodingError as error:
        # The traceback keeps the writer of the file alive.
        found = error
    assert found is not None
    files = [os.open(tmp_path / f"{number}", os.O_RDWR | os.O_CREAT) for number in range(4)]
    try:
        del found
        gc.collect()
        assert [os.fstat(file).st_size for file in files] == [0, 0, 0, 0]
    finally:
        for file in files:
            os.close(file)


def test_names_that_are_no_texts_are_refused_in_lines(tmp_path: Path) -> None:
    for value in ({1: 1, "1": 2}, [{"a": ({None: 1},)}], {"a": {True: 1}}):
        with pytest.raises(EncodingError, match=r"the keys of a dict must be strings, got .*\).*named \*\.parquet"):
            write(tmp_path / "a.jsonl", [value])
    plain = [{"a": [{"b": 1}]}, [1, "a"], None]
    assert write(tmp_path / "a.jsonl", plain) == plain


def test_a_folder_that_is_gone_is_reported(tmp_path: Path) -> None:
    made = output(tmp_path / "a.parquet")
    for path in made.folder.iterdir():
        path.unlink()
    made.folder.rmdir()
    with pytest.raises(StoreError, match=r"a.parquet.* cannot be used"), made.open():
        pass
