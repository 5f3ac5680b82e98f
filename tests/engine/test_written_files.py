"""Records that a flow writes to files: each once, whatever happens, and nothing half-written."""

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas
import polars as pl
import pytest

import elastic
from elastic.aggregators import Collect, Emit, GroupBy, Max
from elastic.core.errors import ElasticError, SourceError, StoreError, UsageError
from elastic.core.model.written import Written

MARKS = {"_manifest.json", "_SUCCESS"}


def record(number: int) -> dict[str, Any]:
    return {"n": number, "name": f"number {number}"}


def records(count: int = 1000) -> elastic.Flow:
    return elastic.from_range(count, chunk_size=30).map(record)


def run(flow: elastic.Flow, **options: Any) -> elastic.Result:
    return flow.run(**{"cluster": "inline", **options})


def lines_in(folder: Path) -> list[str]:
    """Return the lines of a written folder, whose files are as its manifest says, and all that there is."""
    manifest = json.loads((folder / "_manifest.json").read_text())
    found = list[str]()
    for each in manifest["files"]:
        data = (folder / each["file"]).read_bytes()
        lines = data.decode().split("\n")[:-1]
        assert (len(data), len(lines)) == (each["bytes"], each["records"])
        assert hashlib.sha256(data).hexdigest() == each["sha256"]
        found += lines
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {each["file"] for each in manifest["files"]} | MARKS
    assert not (folder / "_staging").exists()
    assert manifest["records"] == len(found)
    return found


def test_every_record_is_written_once(tmp_path: Path, cluster: str) -> None:
    result = run(records().write_jsonl(tmp_path / "out"), cluster=cluster)
    written = result.value
    assert isinstance(written, Written)
    assert sorted(map(json.loads, lines_in(tmp_path / "out")), key=lambda each: each["n"]) == list(
        map(record, range(1000))
    )
    assert (len(written), written.records, written.url) == (1000, 1000, str(tmp_path / "out"))
    assert written.bytes == sum(Path(path).stat().st_size for path in written.paths)
    assert [file.name for file in written] == [Path(path).name for path in written.paths]
    chunks = [chunk_id for file in written for first, stop in file.chunks for chunk_id in range(first, stop)]
    assert sorted(chunks) == list(range(34))
    for file in written:
        assert file.name.startswith(f"part-{file.chunks[0][0]:010}-")
    assert elastic.verify(result.run_id).ok


def test_other_programs_read_the_files(tmp_path: Path) -> None:
    run(records().write_jsonl(tmp_path / "out"))
    assert sorted(pl.read_ndjson(f"{tmp_path}/out/*.jsonl")["n"]) == list(range(1000))
    [path] = (tmp_path / "out").glob("*.jsonl")
    assert sorted(pandas.read_json(path, lines=True)["n"]) == list(range(1000))


def test_a_flow_reads_what_a_flow_has_written(tmp_path: Path) -> None:
    run(records().write_jsonl(tmp_path / "out"))
    back = run(elastic.read_jsonl(tmp_path / "out").aggregate("collect")).value
    assert sorted(back, key=lambda each: each["n"]) == list(map(record, range(1000)))
    run(elastic.from_iterable([]).write_text(tmp_path / "none"))
    assert run(elastic.read_text(tmp_path / "none").aggregate("size")).value == 0


@pytest.mark.parametrize("file_bytes", [1, 1000, 10_000])
def test_a_file_ends_at_its_bytes(file_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elastic.aggregators.writing.write_state.HELD_BYTES", 500)
    flow = records().write_jsonl(tmp_path / "out", file_bytes=file_bytes)
    written = run(flow, max_chunks_per_call=1).value
    assert len(lines_in(tmp_path / "out")) == 1000
    assert len(written.files) in {1: range(34, 100), 1000: range(15, 34), 10_000: range(3, 5)}[file_bytes]
    assert all(file.size >= file_bytes for file in written.files[:-1])


def test_a_write_and_a_result_come_of_one_pass(tmp_path: Path, cluster: str) -> None:
    flow = elastic.from_range(100, chunk_size=7).map(str).write_text(tmp_path / "out").aggregate(Collect())
    result = run(flow, cluster=cluster)
    assert result.value == [str(number) for number in range(100)]
    assert result.written is not None
    assert (len(result.written), sorted(lines_in(tmp_path / "out"))) == (100, sorted(result.value))
    kept = elastic.result_of(result.run_id, flow)
    assert (kept.value, kept.written) == (result.value, result.written)


def test_an_aggregator_that_refuses_an_entry_beside_others_keeps_it_out_of_the_files(tmp_path: Path) -> None:
    flow = elastic.from_iterable([*range(50), "odd", *range(50)], chunk_size=10).map(lambda each: each)
    result = run(flow.write_jsonl(tmp_path / "out").aggregate(Max()), on_error="skip")
    assert (result.value, result.errors) == (49, 1)
    assert sorted(map(int, lines_in(tmp_path / "out"))) == sorted([*range(50), *range(50)])


TEXTS = ["", " ", "\0", "é", "\t\x1b", "a" * 100_000, "\u2028", "\ufeff"]


def test_a_step_that_only_writes_has_the_name_of_its_sink(tmp_path: Path) -> None:
    written = elastic.from_range(3).write_jsonl(tmp_path / "out")
    assert written.step().name == "write_jsonl"
    assert elastic.from_range(3).map(lambda n: n).write_jsonl(tmp_path / "out").step().name == "write_jsonl"
    assert elastic.from_range(3).write_sql("sqlite:///a.db", "table").step().name == "write_sql"
    assert written.aggregate("size").step().name == "Size"
    assert records(3).write_jsonl(tmp_path / "out").step().name == "record"


def test_any_string_of_one_line_is_written_as_it_is(tmp_path: Path) -> None:
    run(elastic.from_iterable(TEXTS, chunk_size=3).write_text(tmp_path / "out"))
    assert sorted(lines_in(tmp_path / "out")) == sorted(TEXTS)
    assert sorted(run(elastic.read_text(tmp_path / "out").aggregate("collect")).value) == sorted(TEXTS)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (7, "takes strings, got int 7"),
        (None, "takes strings, got NoneType None"),
        (b"x", "takes strings, got bytes"),
        ("a\nb", "line break"),
        ("a\r", "line break"),
        ("\ud800", "half of a surrogate pair"),
    ],
)
def test_what_is_no_line_is_a_failed_record(entry: Any, said: str, tmp_path: Path) -> None:
    flow = elastic.from_iterable(["a", "b", entry, "c"]).write_text(tmp_path / "out")
    with pytest.raises(ElasticError, match=said):
        run(flow)
    assert not (tmp_path / "out").exists()
    result = run(flow, on_error="dead-letter")
    assert sorted(lines_in(tmp_path / "out")) == ["a", "b", "c"]
    [letter] = elastic.dead_letters(result.run_id)
    assert said in letter.failure.message


VALUES = [None, True, 0, -1, 2**70, 0.1, 1e300, "", "\0\u2028é", [], {}, [[]], {"a": {"b": [1, None, "x"]}}, (1, 2)]


def test_any_value_of_json_is_written_as_it_is(tmp_path: Path) -> None:
    run(elastic.from_iterable(VALUES, chunk_size=3).write_jsonl(tmp_path / "out"))
    found = [json.loads(line) for line in lines_in(tmp_path / "out")]
    assert list(map(repr, found)) == [repr([1, 2] if each == (1, 2) else each) for each in VALUES]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (float("nan"), "not JSON compliant"),
        ({"a": [float("inf")]}, "not JSON compliant"),
        ({1: "a"}, "keys of a dict must be strings, got 1"),
        ([{"a": {None: 1}}], "keys of a dict must be strings, got None"),
        ({"a": b"x"}, "bytes is not JSON"),
        ({1, 2}, "set is not JSON"),
        ({"a": "\ud800"}, "half of a surrogate pair"),
    ],
)
def test_what_is_not_json_is_a_failed_record(entry: Any, said: str, tmp_path: Path) -> None:
    flow = elastic.from_iterable([1, entry, 2]).write_jsonl(tmp_path / "out")
    with pytest.raises(ElasticError, match=said):
        run(flow)
    result = run(flow, on_error="skip")
    assert (result.errors, sorted(lines_in(tmp_path / "out"))) == (1, ["1", "2"])


def test_frames_are_written_row_by_row(tmp_path: Path) -> None:
    flow = records(100).map_frames(lambda frame: frame.filter(pl.col("n") % 2 == 0))
    result = run(flow.write_jsonl(tmp_path / "out"))
    assert len(result.value) == 50
    assert sorted(json.loads(line)["n"] for line in lines_in(tmp_path / "out")) == list(range(0, 100, 2))
    names = flow.map_frames(lambda frame: frame.select("name"))
    run(names.write_text(tmp_path / "names"))
    assert sorted(lines_in(tmp_path / "names")) == sorted(f"number {number}" for number in range(0, 100, 2))
    with pytest.raises(ElasticError, match="frames of one column of strings, got 2 columns"):
        run(flow.write_text(tmp_path / "both"))


def fragile(number: int) -> str:
    if number == 507:
        raise ValueError(f"bad {number}")
    return str(number)


def test_a_failed_run_leaves_nothing_that_readers_see_and_is_resumed(tmp_path: Path) -> None:
    quick = {"collect_interval": 1e-9, "commit_interval": 1e-9, "target_call_seconds": 1e-9}
    numbers, out = elastic.from_range(1000, chunk_size=10), tmp_path / "out"
    with pytest.raises(ElasticError, match="bad 507"):
        run(numbers.map(fragile).write_text(out), **quick)
    assert {path.name for path in out.iterdir()} == {"_staging", "_unfinished.json"}
    with pytest.raises(SourceError, match="is incomplete: run"):
        run(elastic.read_text(out))
    result = elastic.resume("last", numbers.map(str).write_text(out), allow_code_change=True, cluster="inline")
    assert sorted(map(int, lines_in(out))) == list(range(1000))
    assert len(result.value) == 1000


def test_a_new_run_takes_the_folder_of_one_that_failed(tmp_path: Path) -> None:
    quick = {"collect_interval": 1e-9, "commit_interval": 1e-9, "target_call_seconds": 1e-9}
    numbers, out = elastic.from_range(1000, chunk_size=10), tmp_path / "out"
    with pytest.raises(ElasticError, match="bad 507"):
        run(numbers.map(fragile).write_text(out), **quick)
    failed = elastic.runs()[0].run_id
    run(numbers.map(str).write_text(out))
    assert sorted(map(int, lines_in(out))) == list(range(1000))
    with pytest.raises(UsageError, match=r"exists: run .* wrote it"):
        elastic.resume(failed, numbers.map(str).write_text(out), allow_code_change=True, cluster="inline")
    assert sorted(map(int, lines_in(out))) == list(range(1000))


def test_redriven_records_are_in_the_files(tmp_path: Path) -> None:
    numbers, out = elastic.from_range(1000, chunk_size=10), tmp_path / "out"
    failed = run(numbers.map(fragile).write_text(out), on_error="dead-letter")
    assert len(lines_in(out)) == 999
    redriven = elastic.redrive(failed.run_id, numbers.map(str).write_text(out), cluster="inline")
    assert sorted(map(int, lines_in(out))) == list(range(1000))
    assert len(redriven.value) == 1000
    assert elastic.verify(failed.run_id).ok


def test_what_a_lost_attempt_left_is_removed(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def leave(line: str) -> str:
        [folder] = (out / "_staging").iterdir()
        (folder / "part-0000000000-lost.txt").write_text("lost\n")
        return line

    run(elastic.from_iterable(["a"]).map(leave).write_text(out))
    assert lines_in(out) == ["a"]


def test_a_manifest_that_a_killed_master_left_incomplete_is_removed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "._manifest.json.0123abcd.new").write_text("{")
    run(elastic.from_iterable(["a"]).map(str).write_text(out))
    assert lines_in(out) == ["a"]
    assert not list(out.glob("*.new"))


def test_a_folder_that_holds_something_is_refused_before_the_run_begins(tmp_path: Path, home: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").touch()
    with pytest.raises(UsageError, match=r"out' is not empty: it has 'mine'; name a folder that is empty"):
        run(records().write_jsonl(out))
    (out / "mine").unlink()
    run(records().write_jsonl(out))
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    with pytest.raises(UsageError, match=r"out' exists: run .* wrote it"):
        run(records().write_jsonl(out))
    assert before == {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert len(list((home / "runs").iterdir())) == 1


def test_two_runs_cannot_write_to_one_folder(tmp_path: Path) -> None:
    out, said = tmp_path / "out", list[str]()

    def begin_another(number: int) -> dict[str, Any]:
        if not said:
            with pytest.raises(UsageError) as caught:
                run(records().write_jsonl(out))
            said.append(str(caught.value))
        return record(number)

    run(elastic.from_range(10).map(begin_another).write_jsonl(out))
    assert "is writing to" in said[0]
    assert len(lines_in(out)) == 10


def test_a_damaged_marker_is_refused(tmp_path: Path) -> None:
    (tmp_path / "_unfinished.json").write_text("{")
    with pytest.raises(UsageError, match=r"damaged _unfinished\.json, and its run is unknown"):
        run(records().write_jsonl(tmp_path))


@pytest.mark.parametrize("what", ["file", "below a file", "no permission"])
def test_a_place_that_is_no_folder_is_refused(what: str, tmp_path: Path) -> None:
    if what == "no permission" and os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    place = tmp_path / "place"
    place.touch() if what != "no permission" else place.mkdir(mode=0o500)
    with pytest.raises(UsageError, match=r"is not a folder|Permission denied"):
        run(records().write_jsonl(place if what == "file" else place / "out"))


def test_a_full_disk_suspends_the_run_which_goes_on_when_there_is_room(tmp_path: Path) -> None:
    import resource

    out, flow = tmp_path / "out", elastic.from_range(100, chunk_size=10).map(lambda number: "x" * 100_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(elastic.ElasticError, match=r"cannot be written \(File too large\); free some space"):
            run(flow.write_text(out))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.glob("out/part*")) == []
    elastic.resume("last", flow.write_text(out), cluster="inline")
    assert len(lines_in(out)) == 100


@pytest.mark.parametrize("read", ["", "/*", "/**", "/**/*.txt", "/out", "/out/*.txt", "/*/*.txt", "/out/a.txt"])
def test_a_flow_never_writes_where_it_reads(read: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for name in ("a.txt", "out/a.txt"):
        (tmp_path / name).write_text("a\n")
    flow = elastic.read_text(f"{tmp_path}{read}").write_text(tmp_path / "out")
    with pytest.raises(UsageError, match="is not empty" if read == "/*" else "which overlap"):
        run(flow)
    (tmp_path / "out/a.txt").unlink()
    run(elastic.read_text(f"{tmp_path}/*.txt").write_text(tmp_path / "out"))
    assert lines_in(tmp_path / "out") == ["a"]


def test_the_files_have_the_permissions_of_other_files(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        written = run(records().write_jsonl(tmp_path / "out")).value
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(Path(path).stat().st_mode) for path in (*written.paths, tmp_path / "out/_manifest.json")}
    assert modes == {0o640}
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o750


def test_a_relative_path_and_a_file_url_name_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    flow = elastic.from_iterable(["a"])
    run(flow.write_text("one"))
    run(flow.write_text(f"file://{tmp_path}/two%20words"))
    assert [lines_in(tmp_path / name) for name in ("one", "two words")] == [["a"], ["a"]]


def wrong() -> Iterator[tuple[Callable[[elastic.Flow], object], str]]:
    yield lambda flow: flow.write_text(""), "expected the path or URL of a folder"
    yield lambda flow: flow.write_text(7), "expected the path or URL of a folder"  # type: ignore[arg-type]
    yield lambda flow: flow.write_text("a\0"), "contains a NUL character"
    yield lambda flow: flow.write_text("out", file_bytes=0), "file_bytes=0 must be a whole number above 0"
    yield lambda flow: flow.write_text("out", file_size=1), "no argument 'file_size'; did you mean"  # type: ignore[call-arg]
    yield lambda flow: flow.aggregate("sum").write_text("out"), "cannot follow aggregate"
    yield lambda flow: flow.write_text("out").map(len), "map cannot follow write_text"
    yield lambda flow: flow.write_text("out").write_jsonl("other"), "writes already by write_text"
    yield lambda flow: flow.write_text("out").run(cluster="inline", shards=2), "cannot be combined with shards"
    yield lambda flow: flow.write_text("out").aggregate(Emit(print)).run(cluster="inline"), "cannot be combined with"


@pytest.mark.parametrize(("use", "said"), [*wrong()])
def test_a_wrong_write_is_refused(
    use: Callable[[elastic.Flow], object], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=said):
        use(elastic.from_iterable(["a"]))
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_resumed_only_by_the_write_that_it_began_with(tmp_path: Path) -> None:
    numbers = elastic.from_range(1000, chunk_size=10)
    quick = {"collect_interval": 1e-9, "commit_interval": 1e-9, "target_call_seconds": 1e-9}
    with pytest.raises(ElasticError, match="bad 507"):
        run(numbers.map(fragile).write_text(tmp_path / "out"), **quick)
    for flow, said in (
        (numbers.map(str), "writes to .*and the given flow does not"),
        (numbers.map(str).write_text(tmp_path / "other"), "began to write with url="),
        (numbers.map(str).write_jsonl(tmp_path / "out"), "began to write with format='text'"),
    ):
        with pytest.raises(UsageError, match=said):
            elastic.resume("last", flow, allow_code_change=True, cluster="inline")


def test_a_part_that_is_gone_is_told_when_its_run_goes_on(tmp_path: Path) -> None:
    numbers, out = elastic.from_range(1000, chunk_size=10), tmp_path / "out"
    quick = {"collect_interval": 1e-9, "commit_interval": 1e-9, "target_call_seconds": 1e-9}
    with pytest.raises(ElasticError, match="bad 507"):
        run(numbers.map(fragile).write_text(out), **quick)
    next(out.glob("_staging/*/part*")).unlink()
    with pytest.raises(StoreError, match="is missing or changed; start a new run"):
        elastic.resume("last", numbers.map(str).write_text(out), allow_code_change=True, cluster="inline")


def test_a_keyed_aggregation_is_made_beside_a_write(tmp_path: Path) -> None:
    pairs = elastic.from_range(100, chunk_size=9).map(lambda number: (number % 3, number))
    result = run(pairs.write_jsonl(tmp_path / "out").aggregate(GroupBy("size")))
    assert (result.value, len(lines_in(tmp_path / "out"))) == ({0: 34, 1: 33, 2: 33}, 100)


def test_a_queue_writes_in_each_of_its_steps(tmp_path: Path) -> None:
    with elastic.StepQueue(autoplay=True) as queue:
        for name in ("a", "b"):
            queue.add(records(10).write_jsonl(tmp_path / name).options(cluster="inline"))
        first, second = queue.wait()
    assert (len(first.value), len(second.value)) == (10, 10)
    assert len(lines_in(tmp_path / "a")) == len(lines_in(tmp_path / "b")) == 10


def test_a_run_without_a_folder_of_its_own_writes_too(tmp_path: Path, home: Path) -> None:
    run(records(10).write_jsonl(tmp_path / "out"), persist=False)
    assert len(lines_in(tmp_path / "out")) == 10
    with pytest.raises(ElasticError, match="bad 507"):
        run(elastic.from_range(1000).map(fragile).write_text(tmp_path / "failed"), persist=False)
    assert not (tmp_path / "failed").exists()
    assert list(home.iterdir()) == []
