"""Whole files: their bytes as they are, and JSON arrays, each file one chunk."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from source_samples import BOM, assert_goes_on_anywhere, chunks

import elastic
from elastic.core.errors import SourceError, SourceNotFoundError, StepFailedError
from elastic.stages.sources import FileContents, FileSource, JsonArrayFormat


def written(folder: Path, **files: bytes) -> Path:
    for name, data in files.items():
        (folder / name.replace("_", ".")).write_bytes(data)
    return folder


def collected(flow: elastic.Flow, **options: Any) -> Any:
    return flow.aggregate("collect").run(cluster="inline", **options).value


BINARY = {"a_gz": gzip.compress(b"x"), "b_bin": b"\xff\xfe\0\n" * 3, "c": b"", "d_zip": b"PK\3\4\n"}


def test_bytes_of_any_file_are_read_as_they_are(tmp_path: Path) -> None:
    written(tmp_path, **BINARY)
    found = collected(elastic.read_files(tmp_path))
    assert found == [{"path": str(tmp_path / name.replace("_", ".")), "bytes": data} for name, data in BINARY.items()]
    assert collected(elastic.read_files(tmp_path, ship="value")) == found
    source = FileSource(tmp_path, FileContents())
    assert len(chunks(source)) == source.expected_chunks() == 4
    assert_goes_on_anywhere(source, FileSource(tmp_path, FileContents()))


def test_a_file_that_fails_is_named_and_kept(tmp_path: Path) -> None:
    written(tmp_path, a=b"1", b=b"x")
    flow = elastic.read_files(tmp_path).map(lambda file: int(file["bytes"])).aggregate("sum")
    result = flow.run(cluster="inline", on_error="dead-letter")
    assert (result.value, result.entries, result.errors) == (1, 2, 1)
    (letter,) = elastic.dead_letters(result.run_id)
    assert letter.failure.place == f"entry 0 of {str(tmp_path / 'b')!r}"
    assert elastic.verify(result.run_id, flow, recompute=1.0).ok


def test_arrays_of_records_are_read_whatever_their_encoding_and_compression(tmp_path: Path) -> None:
    records = [{"a": 1}, None, [1.5], "\u20ac\n", {"b": {"c": "\ud800"}}]
    text = json.dumps(records, indent=1)
    written(
        tmp_path,
        a_json=text.encode(),
        b_json=BOM + text.encode(),
        c_json_gz=gzip.compress(text.encode()),
        d_json=b" [] ",
    )
    assert collected(elastic.read_json(tmp_path)) == records * 3
    (tmp_path / "e").write_bytes(text.encode("utf-16"))
    assert collected(elastic.read_json(tmp_path / "e", encoding="utf-16")) == records
    assert [len(chunk) for chunk in chunks(FileSource(tmp_path / "*.json*", JsonArrayFormat()))] == [5, 5, 5, 0]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (
            b'{"a": 1}\n{"a": 2}\n',
            r"byte 9 .*a second JSON value begins at line 2, column 1; if each line is a value, ",
        ),
        (b"[1]\n[2]\n", "read it with read_jsonl"),
        (b'{"a": [1]}', "the file is one JSON object and no array; if it is a file of one line per record"),
        (b'"a"', "the file is one JSON str and no array"),
        (b"", "the file is empty and no JSON array"),
        (BOM, "the file is empty and no JSON array"),
        (b" \n", "the file is empty and no JSON array"),
        ('["\u20ac",\n ]'.encode(), r"byte 9 .*the file is not JSON \(.* at line 2, column 2"),
        (b'[{"a": 1}', "the file is not JSON"),
        (b'["\xff"]', "byte 2 .*not utf-8 text"),
        (b"[" * 100_000, "RecursionError"),
        (b"PAR1\0", "is a Parquet file and cannot be read as lines; read it with read_parquet"),
    ],
)
def test_what_is_no_array_is_named_by_what_it_is(tmp_path: Path, data: bytes, problem: str) -> None:
    written(tmp_path, a_json=data)
    with pytest.raises((StepFailedError, SourceError), match=problem) as caught:
        elastic.read_json(tmp_path / "a.json").run(cluster="inline", on_error="skip")
    assert str(caught.value).count(str(tmp_path / "a.json")) == 1


def test_missing_files_are_named(tmp_path: Path) -> None:
    for read in (elastic.read_json, elastic.read_files):
        with pytest.raises(SourceNotFoundError):
            read(tmp_path / "no").run(cluster="inline")
