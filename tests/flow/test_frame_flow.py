"""Flows of frames: the same answer, receipts, dead letters, resume and proof as flows of entries."""

import gzip
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import elastic
from elastic.aggregators import Collect, Count, FrameCount, FrameGroupBy, FrameSum, FrameTopK
from elastic.chaos.outcome import ResultDigest
from elastic.cli.printing.run_result import jsonable
from elastic.core.encoding import unpack
from elastic.core.errors import DecodingError, StepFailedError, UsageError

ROOT = Path(__file__).parents[2]
QUICK: dict[str, Any] = {
    "cluster": "inline",
    "commit_interval": 1e-9,
    "collect_interval": 1e-9,
    "target_call_seconds": 1e-9,
}
TEXT = "".join(
    f"line {n} \u00e9t\u00e9\u00a0{n % 7}\tor\x1cnot\x85 to be\u2003{'x' * (n % 40)}  \r\n" if n % 5 else "\n"
    for n in range(900)
)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    return path


def frame_of_counts(value: Any) -> dict[Any, int]:
    return dict(value.iter_rows())


@pytest.mark.parametrize(("chunk_bytes", "count"), [(7, 16), (500, 900), (1 << 20, 900)])
def test_words_as_a_frame_are_counted_with_the_same_receipts_and_answer(
    tmp_path: Path, chunk_bytes: int, count: int
) -> None:
    content = "".join(TEXT.splitlines(keepends=True)[:count]) if count < 900 else TEXT
    text = tmp_path / "text.txt"
    text.write_bytes(b"\xef\xbb\xbf" + content.encode())
    lines = elastic.read_text(text, chunk_bytes=chunk_bytes)
    plain = lines.flat_map(str.split).aggregate(Count()).run(cluster="inline")
    frames = lines.words().aggregate(FrameCount()).run(cluster="inline")
    words = lines.words().aggregate(Count()).run(cluster="inline")
    assert frame_of_counts(frames.value) == plain.value == words.value == Counter(content.split())
    for other in (frames, words):
        assert (other.root, other.entries, other.chunks) == (plain.root, plain.entries, plain.chunks)
        assert other.receipts == plain.receipts


class Unread(FrameCount):
    """Reads no state."""

    def decode(self, data: bytes) -> Any:
        raise ValueError("a state was read")


def test_a_state_that_is_at_hand_is_not_read_from_what_is_kept_of_it(text: Path, tmp_path: Path) -> None:
    lines = elastic.read_text(text, chunk_bytes=400).words()
    result = lines.aggregate(Unread()).run(**QUICK, home=tmp_path / "home")
    assert frame_of_counts(result.value) == Counter(TEXT.split())
    assert elastic.verify("last", home=tmp_path / "home").ok


class Unmerged(FrameCount):
    """Has no way to merge two states."""

    def merge(self, state: Any, other: Any) -> Any:
        raise ValueError("two are one too many")


def test_a_state_that_is_at_hand_and_cannot_be_merged_ends_the_step_with_its_chunks(text: Path) -> None:
    flow = elastic.read_text(text, chunk_bytes=400).words().aggregate(Unmerged())
    with pytest.raises(StepFailedError, match=r"failed in merge on chunk .*two are one too many"):
        flow.run(**QUICK)


def test_workers_count_frames_as_this_process_does(text: Path, cluster: str) -> None:
    lines = elastic.read_text(text, chunk_bytes=400)
    result = lines.words().aggregate(FrameCount()).run(cluster=cluster)
    assert frame_of_counts(result.value) == Counter(TEXT.split())


def test_compressed_and_remote_files_are_frames_as_well(tmp_path: Path) -> None:
    (tmp_path / "text.txt.gz").write_bytes(gzip.compress(TEXT.encode()))
    result = elastic.read_text(tmp_path, chunk_bytes=300).words().aggregate(FrameCount()).run(cluster="inline")
    assert frame_of_counts(result.value) == Counter(TEXT.split())


def with_rest(frame: pl.DataFrame) -> pl.LazyFrame:
    return frame.lazy().with_columns(rest=pl.col("entry") % 3)


def squared(table: pa.Table) -> pa.Table:
    return table.set_column(0, "entry", pc.multiply(table["entry"], table["entry"]))


def test_entries_become_frames_and_frames_become_numbers() -> None:
    numbers = elastic.from_range(100, chunk_size=7)
    groups = numbers.map_frames(with_rest).aggregate(FrameGroupBy("rest", n="count", sum=("entry", "sum")))
    assert set(groups.run(cluster="inline").value.rows()) == {(0, 34, 1683), (1, 33, 1617), (2, 33, 1650)}
    squares = numbers.map_frames(squared, library="arrow")
    assert squares.aggregate(FrameSum("entry")).run(cluster="inline").value == {"entry": sum(n * n for n in range(100))}
    assert squares.map_frames(with_rest).aggregate(FrameTopK(1, "entry")).run(cluster="inline").value.rows() == [
        (9801, 0)
    ]
    heights = numbers.map_frames(with_rest).map(lambda frame: frame.height).aggregate("sum").run(cluster="inline")
    assert heights.value == 100
    names = elastic.from_iterable([{"user": "a", "bytes": 2}, {"user": "b"}, {"user": "a", "bytes": 3}], chunk_size=2)
    totals = names.filter(bool).aggregate(FrameGroupBy("user", bytes=("bytes", "sum"))).run(cluster="inline")
    assert frame_of_counts(totals.value) == {"a": 5, "b": 0}


def test_words_that_were_changed_are_texts() -> None:
    texts = elastic.from_iterable(["To be", "or not TO be"], chunk_size=1).words().map(str.lower)
    assert texts.aggregate("count").run(cluster="inline").value == Counter(["to", "be", "or", "not", "to", "be"])
    assert frame_of_counts(texts.aggregate(FrameCount()).run(cluster="inline").value) == {
        "to": 2,
        "be": 2,
        "or": 1,
        "not": 1,
    }


def upper(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(pl.col("word").str.to_uppercase())


def test_a_function_of_frames_gets_words_as_a_column(text: Path) -> None:
    result = elastic.read_text(text).words().map_frames(upper).aggregate(FrameCount("word")).run(cluster="inline")
    assert frame_of_counts(result.value) == Counter(word.upper() for word in TEXT.split())


def fragile(frame: pl.DataFrame) -> pl.DataFrame:
    """Fail on what the environment says is bad."""
    bad = frame.filter(pl.col("entry").str.contains(r"^line \d*99 "))
    if bad.height and not os.environ.get("REPAIRED"):
        raise ValueError(f"bad: {bad.height}")
    return frame.select(word=pl.col("entry").str.split(" ")).explode("word")


def test_a_frame_that_fails_is_taken_apart_until_the_entries_are_found(
    text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = elastic.read_text(text, chunk_bytes=2000).map_frames(fragile).aggregate(FrameCount())
    with pytest.raises(StepFailedError, match=r"map_frames\(.*fragile.*line 100.*bad: 1"):
        flow.run(cluster="inline")
    result = flow.run(**QUICK, on_error="dead-letter")
    letters = elastic.dead_letters(result.run_id)
    lines = TEXT.replace("\r\n", "\n").split("\n")[:-1]
    assert [unpack(letter.entry) for letter in letters] == [lines[n] for n in range(99, 900, 100)]
    assert result.errors == 9
    monkeypatch.setenv("REPAIRED", "1")
    whole = flow.run(cluster="inline")
    again = elastic.redrive(result.run_id, flow, **QUICK)
    kept = elastic.result_of(result.run_id, flow)
    assert frame_of_counts(again.value) == frame_of_counts(whole.value) == frame_of_counts(kept.value)
    assert (again.errors, again.entries) == (0, whole.entries)


def test_a_frame_that_must_not_be_taken_apart_fails_as_a_whole() -> None:
    def steady(frame: pl.DataFrame) -> pl.DataFrame:
        if 13 in frame["entry"]:
            raise ValueError("thirteen")
        return frame

    flow = elastic.from_range(30, chunk_size=10).map_frames(steady).aggregate(FrameSum("entry"))
    result = flow.run(cluster="inline", on_error="dead-letter", whole_chunks=True)
    assert (result.value, result.errors) == ({"entry": sum(range(10)) + sum(range(20, 30))}, 10)
    assert flow.run(cluster="inline", on_error="skip").value == {"entry": sum(range(30)) - 13}


def test_a_run_of_frames_goes_on_where_it_ended_and_is_proved(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = elastic.read_text(text, chunk_bytes=2000).map_frames(fragile).aggregate(FrameCount())
    with pytest.raises(StepFailedError) as raised:
        flow.run(**QUICK)
    run_id = raised.value.run_id
    monkeypatch.setenv("REPAIRED", "1")
    result = elastic.resume(run_id, flow, **QUICK)
    assert frame_of_counts(result.value) == frame_of_counts(flow.run(cluster="inline").value)
    assert result.counters["resumes"] == 1
    proof = elastic.verify(run_id, flow, recompute=1.0)
    assert proof.ok, str(proof)
    assert proof.steps[0].chunks_rerun == result.chunks
    text.write_bytes(text.read_bytes().replace(b"line 5", b"LINE 5"))
    assert not elastic.verify(run_id, flow, recompute=1.0).ok


def test_a_partial_result_that_the_flow_would_not_make_is_found(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWICE", "")

    def sometimes_twice(frame: pl.DataFrame) -> pl.DataFrame:
        return pl.concat([frame, frame.head(1)]) if os.environ["TWICE"] else frame

    flow = elastic.read_text(text, chunk_bytes=2000).map_frames(sometimes_twice).aggregate(FrameCount())
    result = flow.run(**QUICK)
    assert elastic.verify(result.run_id, flow, recompute=1.0).ok
    monkeypatch.setenv("TWICE", "1")
    proof = elastic.verify(result.run_id, flow, recompute=1.0)
    assert "the flow makes another partial result of it now" in str(proof)


def test_answers_are_the_same_whatever_the_order_of_rows(text: Path) -> None:
    answers = set()
    for chunk_bytes in (1 << 20, 300):
        flow = elastic.read_text(text, chunk_bytes=chunk_bytes).words().aggregate(FrameCount())
        answers.add(ResultDigest.of(flow.run(cluster="inline")).value)
    assert len(answers) == 1


def test_bytes_that_are_no_text_end_a_run_of_frames_as_any_other(tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(b"fine\n" * 100 + b"\xff\n")
    flow = elastic.read_text(path).words()
    told = []
    for aggregator in (FrameCount(), Count(), Collect()):
        with pytest.raises((StepFailedError, DecodingError), match=r"byte 500.*not utf-8 text") as raised:
            flow.aggregate(aggregator).run(cluster="inline")
        told.append(str(raised.value).partition(" (run ")[0])
    assert len(set(told)) == 1


def test_a_function_that_returns_no_frame_is_told_so() -> None:
    flow = elastic.from_range(3).map_frames(lambda frame: frame.height).aggregate(FrameCount())
    with pytest.raises(StepFailedError, match=r"expected a frame, got builtins\.int"):
        flow.run(cluster="inline")
    with pytest.raises(UsageError, match=r"map_frames\(library='pandas'\) must be 'polars' or 'arrow'"):
        elastic.from_range(3).map_frames(with_rest, library="pandas")
    with pytest.raises(UsageError, match="words cannot follow aggregate"):
        elastic.from_range(3).aggregate("sum").words()


def python(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


def test_nobody_waits_for_a_library_of_frames_who_does_not_use_it() -> None:
    code = (
        "import sys, elastic, elastic.aggregators\n"
        "elastic.from_range(9).map(str).words().aggregate('count').run(cluster='inline')\n"
        "print({'polars', 'pyarrow'} & set(sys.modules))"
    )
    assert python(code) == "set()"


@pytest.mark.parametrize(
    ("missing", "extra", "use"),
    [
        ("polars", "polars", "elastic.aggregators.FrameCount()"),
        ("polars", "polars", "elastic.from_range(9).map_frames(str)"),
        ("pyarrow", "arrow", "elastic.from_range(9).map_frames(str, library='arrow')"),
    ],
)
def test_a_missing_library_is_one_sentence_that_names_the_extra(missing: str, extra: str, use: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; import elastic, elastic.aggregators; {use}"
    last = python(code).splitlines()[-1]
    assert f"needs the package {missing!r}, which is not installed here" in last
    assert f"pip install 'elastic-dataflow[{extra}]'" in last


def test_a_frame_is_printed_for_programs_as_its_rows() -> None:
    value = pl.DataFrame({"word": ["a", None], "count": [1, 2**63 - 1], "x": [float("nan"), 0.5]})
    assert jsonable(value) == [{"word": "a", "count": 1, "x": "nan"}, {"word": None, "count": 2**63 - 1, "x": 0.5}]
