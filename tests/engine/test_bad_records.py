"""Bad records of a reader are failed entries: left out, kept as they were read, redriven, counted once."""

import bz2
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import elastic
from elastic.aggregators import Collect, FrameCount
from elastic.core.encoding import pack, unpack
from elastic.core.errors import DecodingError, EncodingError, StepFailedError
from elastic.core.model.bad_record import RawRecord
from elastic.core.model.failure import DeadLetter

Rows = list[dict[str, str]]

#: Rows 3, 4, 6 to 7 and 8 are bad.
RAGGED = b'a,b\n1,2\n3\n4,5,6\n7,8\n"x\ny",9\n1,\xff\n5,6\n'


def written(folder: Path, data: bytes, name: str = "file.csv") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def ran(flow: elastic.Flow, **options: Any) -> elastic.Result:
    return flow.run(cluster="inline", **{"on_error": "dead-letter", **options})


def letters(result: elastic.Result) -> list[DeadLetter]:
    return elastic.dead_letters(result.run_id)


def raw(result: elastic.Result) -> list[bytes]:
    return [unpack(letter.entry).data for letter in letters(result)]


@pytest.mark.parametrize("on_error", ["skip", "dead-letter"])
@pytest.mark.parametrize("chunk_bytes", [1, 5, 9, 1000])
def test_ragged_rows_are_left_out_and_counted(tmp_path: Path, on_error: str, chunk_bytes: int) -> None:
    path = written(tmp_path, b"a,b\n1,2\n3\n4,5,6\n\n7,8\n1,\xff\n5,6\n")
    flow = elastic.read_csv(path, chunk_bytes=chunk_bytes).map(lambda row: int(row["b"])).aggregate("sum")
    result = ran(flow, on_error=on_error)
    assert (result.value, result.entries, result.errors, result.state) == (16, 6, 3, "complete")
    assert len(letters(result)) == (3 if on_error == "dead-letter" else 0)
    assert elastic.verify(result.run_id, flow, recompute=1.0).ok


def test_a_bad_row_is_named_once_by_line_and_byte_whether_it_fails_the_step_or_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path, RAGGED)
    flow = elastic.read_csv(path)
    problem = (
        f"the reader failed on line 3 of {str(path)!r} (byte 8) (chunk 0): DecodingError: the row that begins here has "
        "1 values for 2 fields; correct the row, or name the right delimiter= and fields="
    )
    result = ran(flow)
    assert str(letters(result)[0].failure) == problem
    assert [letter.failure.place for letter in letters(result)] == [
        f"line {line} of {str(path)!r} (byte {byte})" for line, byte in ((3, 8), (4, 10), (6, 20), (8, 28))
    ]
    assert [letter.failure.index for letter in letters(result)] == [1, 2, 4, 5]
    with pytest.raises(StepFailedError) as caught:
        flow.run(cluster="inline")
    assert str(caught.value).startswith(problem)
    assert str(caught.value).count(str(path)) == 1


def test_a_row_with_a_line_end_in_a_value_fails_as_one_and_is_kept_with_all_its_lines(tmp_path: Path) -> None:
    path = written(tmp_path, RAGGED)
    result = ran(elastic.read_csv(path).aggregate("collect"))
    assert raw(result) == [b"3", b"4,5,6", b'"x\ny",9', b"1,\xff"]
    assert result.value == [{"a": "1", "b": "2"}, {"a": "7", "b": "8"}, {"a": "5", "b": "6"}]


def test_rows_beside_a_bad_one_are_read_as_without_it(tmp_path: Path) -> None:
    good = [b'#\xff,"\n', b"1,2\n", b"\n", b'"3,""","4"\r\n', b"\r\n", b"nan,\n", b'#"\n', "\xe9,\u20ac\n".encode()]
    bad = [b"5\n", b"6,\xff\n", b'7,8"9\n', b'"10\n",11\n', b"1\r2,3\n", b'"x"y,1\n']
    rows = elastic.read_csv(written(tmp_path, b"a,b\n" + b"".join(good)), comment="#").aggregate("collect")
    expected = [("1", "2"), ('3,"', "4"), ("nan", ""), ("\xe9", "\u20ac")]
    assert [tuple(row.values()) for row in ran(rows).value] == expected
    for at in range(len(good) + 1):
        data = b"a,b\n" + b"".join([*good[:at], *bad, *good[at:]])
        result = ran(
            elastic.read_csv(written(tmp_path, data), comment="#").aggregate("collect"), on_error="dead-letter"
        )
        assert [tuple(row.values()) for row in result.value] == expected
        assert raw(result) == [each.removesuffix(b"\n") for each in bad]


def test_a_stray_quote_costs_its_own_row_only(tmp_path: Path) -> None:
    path = written(tmp_path, b'a,b\n1,"2\n3,4\n5,6\n7,"8" x\n9,10\n')
    result = ran(elastic.read_csv(path).aggregate("collect"))
    assert [row["a"] for row in result.value] == ["3", "5", "9"]
    assert raw(result) == [b'1,"2', b'7,"8" x']


@pytest.mark.parametrize("chunk_bytes", [1, 7, 1000])
def test_files_that_the_master_reads_have_bad_rows_too(tmp_path: Path, chunk_bytes: int) -> None:
    path = written(tmp_path, RAGGED)
    flow = elastic.read_csv(path, newlines_in_values=True, chunk_bytes=chunk_bytes).aggregate(Collect())
    result = ran(flow)
    assert result.value == [{"a": "1", "b": "2"}, {"a": "7", "b": "8"}, {"a": "x\ny", "b": "9"}, {"a": "5", "b": "6"}]
    assert (result.entries, result.errors, raw(result)) == (7, 3, [b"3", b"4,5,6", b"1,\xff"])
    assert elastic.verify(result.run_id, flow, recompute=1.0).ok
    packed = written(tmp_path, bz2.compress(RAGGED), "file.csv.bz2")
    # Each half of a row that is cut at a line end is a bad record.
    assert ran(elastic.read_csv(packed, chunk_bytes=chunk_bytes)).errors == (4 if chunk_bytes == 1000 else 5)


def test_a_quote_that_never_closes_fails_with_the_rest_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, b'a,b\n1,2\n"3,4\n5,6\n')
    result = ran(elastic.read_csv(path, newlines_in_values=True, chunk_bytes=1).aggregate(Collect()))
    assert (result.value, raw(result)) == ([{"a": "1", "b": "2"}], [b'"3,4\n5,6'])


@pytest.mark.parametrize("chunk_bytes", [1, 6, 1000])
def test_bytes_that_are_not_utf_16_cost_their_line_only(tmp_path: Path, chunk_bytes: int) -> None:
    data = b"".join(["\ufeffone\ntw".encode("utf-16-le"), b"\x00\xd8", "o\nthree\n".encode("utf-16-le"), b"\x20"])
    flow = elastic.read_text(written(tmp_path, data, "wide.txt"), encoding="utf-16", chunk_bytes=chunk_bytes)
    result = ran(flow.aggregate(Collect()))
    assert (result.value, result.entries, result.errors) == (["one", "three"], 4, 2)
    failure = letters(result)[0].failure
    assert failure.place == f"line 2 of {str(tmp_path / 'wide.txt')!r} (byte 4)"
    assert failure.message.startswith("not utf-16 text (invalid bytes); pass the right encoding=")
    count = ran(flow.aggregate("count"))
    repaired = elastic.read_text("nowhere", encoding="utf-16", errors="replace").aggregate("count")
    assert elastic.redrive(count.run_id, repaired, cluster="inline").value == {
        "one": 1,
        "tw\ufffdo": 1,
        "three": 1,
        "\ufffd": 1,
    }


@pytest.mark.parametrize("chunk_bytes", [1, 8, 1000])
def test_broken_json_lines_are_kept_apart(tmp_path: Path, chunk_bytes: int) -> None:
    data = (
        b'\xef\xbb\xbf{"a": 1}\n{"a": }\r\n \n\xc2\xa0\n"\xff"\n['
        + b"[" * 10_000
        + b"\n"
        + b"9" * 5_000
        + b'\n{"a": 2}'
    )
    path = written(tmp_path, data, "file.jsonl")
    flow = elastic.read_jsonl(path, chunk_bytes=chunk_bytes).map(lambda value: value["a"]).aggregate("sum")
    result = ran(flow)
    assert (result.value, result.entries, result.errors) == (3, 6, 4)
    assert raw(result)[:2] == [b'{"a": }', b'"\xff"']
    places = [letter.failure.place.split(" of ")[0] for letter in letters(result)]
    assert places == ["line 2", "line 5", "line 6", "line 7"]
    assert "Expecting value at its character 6" in letters(result)[0].failure.message
    assert elastic.verify(result.run_id, flow, recompute=1.0).ok


@pytest.mark.parametrize("chunk_bytes", [1, 6, 1000])
def test_lines_that_are_not_text_are_kept_apart_in_every_way_to_count_words(tmp_path: Path, chunk_bytes: int) -> None:
    path = written(tmp_path, b"\xef\xbb\xbfa b\nb \xff\n\nc\r\r\nd\n", "file.txt")
    lines = elastic.read_text(path, chunk_bytes=chunk_bytes)
    expected = {"a": 1, "b": 1, "c": 1, "d": 1}
    for flow in (
        lines.words().aggregate("count"),
        lines.flat_map(str.split).aggregate("count"),
        lines.words().map(str).aggregate("count"),
    ):
        result = ran(flow)
        assert (result.value, result.entries, result.errors) == (expected, 5, 1)
        assert raw(result) == [b"b \xff"]
    pytest.importorskip("polars")
    result = ran(lines.words().aggregate(FrameCount()))
    assert (dict(result.value.rows()), result.errors) == (expected, 1)
    result = ran(lines.aggregate(FrameCount("entry")))
    assert (dict(result.value.rows()), result.errors) == ({"a b": 1, "": 1, "c\r": 1, "d": 1}, 1)


def test_a_bad_first_line_is_kept_without_the_mark_of_its_file(tmp_path: Path) -> None:
    path = written(tmp_path, b"\xef\xbb\xbfcaf\xe9\nbar\n", "file.txt")
    result = ran(elastic.read_text(path).aggregate("count"))
    assert raw(result) == [b"caf\xe9"]
    repaired = elastic.read_text(path, encoding="latin-1").aggregate("count")
    assert elastic.redrive(result.run_id, repaired, cluster="inline").value == {"caf\xe9": 1, "bar": 1}


def test_bad_rows_are_parsed_again_when_they_are_redriven_without_reading_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, b"name;n\nK\xf6ln;1\nBonn;2\nUlm;x\nTrier\n")

    def flow(parse: Callable[[str], int] = int, **reading: Any) -> elastic.Flow:
        return elastic.read_csv(path, delimiter=";", **reading).map(lambda row: parse(row["n"])).aggregate("sum")

    result = ran(flow())
    assert (result.value, result.entries, result.errors) == (2, 4, 3)
    path.unlink()
    again = elastic.redrive(result.run_id, flow(encoding="latin-1"), cluster="inline")
    assert (again.value, again.entries, again.errors) == (3, 4, 2)
    again = elastic.redrive(result.run_id, flow(lambda text: 10, encoding="latin-1"), cluster="inline")
    assert (again.value, again.entries, again.errors) == (13, 4, 1)
    (left,) = letters(again)
    assert (unpack(left.entry).data, left.attempts) == (b"Trier", 3)
    assert left.failure.place == f"line 5 of {str(path)!r} (byte 27)"
    assert "1 values for 2 fields" in left.failure.message
    names = elastic.read_csv(path, fields=["n"], delimiter=";").map(lambda row: 100).aggregate("sum")
    assert elastic.redrive(result.run_id, names, cluster="inline").value == 113


def test_a_record_that_is_several_now_or_a_source_without_records_fails_again(tmp_path: Path) -> None:
    path = written(tmp_path, b'a,b\n1,2\n"3\n4",5,6\n')
    result = ran(elastic.read_csv(path, newlines_in_values=True).map(len).aggregate("sum"))
    assert (result.value, result.errors) == (2, 1)
    for source, problem in (
        (elastic.read_csv(path, quotechar=None), "the record is 2 records now"),
        (elastic.from_iterable([1]), "this source does not parse single records"),
    ):
        again = elastic.redrive(result.run_id, source.map(len).aggregate("sum"), cluster="inline")
        assert (again.value, again.entries, again.errors) == (2, 2, 1)
        assert problem in letters(again)[0].failure.message


def test_bad_records_count_toward_the_limit_and_are_never_retried(tmp_path: Path) -> None:
    path = written(tmp_path, b"a,b\n" + b"1\n" * 5 + b"1,2\n")
    with pytest.raises(StepFailedError, match="5 entries failed, more than max_errors=4"):
        ran(elastic.read_csv(path), max_errors=4)
    result = ran(elastic.read_csv(path), max_errors=5, retries={Exception: 3}, retry_delay=60.0)
    assert [letter.attempts for letter in letters(result)] == [1] * 5


def test_a_file_of_bad_rows_only_fails_the_step_and_can_be_redriven(tmp_path: Path) -> None:
    path = written(tmp_path, b"a,b\n1\n2\n")
    with pytest.raises(StepFailedError, match="line 2 of"):
        ran(elastic.read_csv(path).map(len).aggregate("sum"))
    run_id = elastic.runs()[0].run_id
    repaired = elastic.read_csv(path, fields=["x"]).map(len).aggregate("sum")
    assert elastic.redrive(run_id, repaired, cluster="inline").value == 2


def test_a_chunk_that_must_stay_whole_fails_as_a_whole_and_is_redriven_as_one(tmp_path: Path) -> None:
    path = written(tmp_path, b"a\n1\n2,3\n4\n5\n")

    def flow(**reading: Any) -> elastic.Flow:
        rows = elastic.read_csv(path, chunk_bytes=7, **reading)
        return rows.map_chunks(lambda rows: [len(rows)]).aggregate("count").options(whole_chunks=True)

    result = ran(flow())
    assert (result.value, result.entries, result.errors) == ({2: 1}, 4, 2)
    (letter,) = letters(result)
    assert unpack(letter.entry) == [{"a": "1"}, RawRecord(b"2,3", ("a",))]
    again = elastic.redrive(result.run_id, flow(delimiter=";"), cluster="inline")
    assert (again.value, again.errors) == ({2: 2}, 0)


@pytest.mark.parametrize("data", [b"a,b\n1,2\n", b"\xff,b\n1,2\n", b'"a,b\n1,2\n'])
def test_a_header_that_is_wrong_is_no_bad_record(tmp_path: Path, data: bytes) -> None:
    written(tmp_path, b"b,a\n1,2\n", "0.csv")
    written(tmp_path, data, "1.csv")
    with pytest.raises(DecodingError, match=r"1\.csv"):
        ran(elastic.read_csv(tmp_path))


def test_a_resumed_run_counts_bad_records_once(tmp_path: Path) -> None:
    path = written(tmp_path, b"a,b\n" + b"1,2\n3\n" * 500)
    flow = elastic.read_csv(path, chunk_bytes=50).map(lambda row: int(row["b"])).aggregate("sum")
    with pytest.raises(StepFailedError, match="more than max_errors=100"):
        ran(flow, max_errors=100, commit_interval=1e-9, collect_interval=1e-9, target_call_seconds=1e-9)
    run_id = elastic.runs()[0].run_id
    result = elastic.resume(run_id, flow, on_error="dead-letter", max_errors=500, cluster="inline")
    assert (result.value, result.entries, result.errors) == (1000, 1000, 500)
    assert len(letters(result)) == 500
    assert elastic.verify(run_id, flow, recompute=1.0).ok


def test_a_raw_record_is_plain_data_and_damage_is_noticed() -> None:
    record = RawRecord(b"\xff\0\n", ("a", "\ud800"))
    assert unpack(pack([record, {record: 1}])) == [record, {record: 1}]
    nested = RawRecord(b"1", ("a",), (2, 0, 300))
    assert unpack(pack(nested)) == nested
    assert str(RawRecord(b"1,\xff")) == r"1,\xff"
    with pytest.raises(EncodingError):
        unpack(pack(record).replace(b"\xff\0\n", b"abc").replace(b"\xc4", b"\xa4"))
