"""Words of large files are counted in columns by themselves: the same answer, receipts and states as without Polars."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import elastic
from elastic.aggregators import ApproximateDistinct, Count, Distinct, FrameCount, Latest, Max, Min, Size, TopK
from elastic.aggregators.basic import count as basic_count
from elastic.aggregators.basic.count import Utf8Count
from elastic.aggregators.frames import word_count
from elastic.aggregators.frames.word_count import WordCount
from elastic.chaos.outcome import ResultDigest
from elastic.core.encoding import pack
from elastic.core.errors import EncodingError, SourceError
from elastic.core.lazy_counter import LazyCounter
from elastic.core.program import Program
from elastic.core.transform import FrameWords, Transform, Words
from elastic.engine import step
from elastic.engine.step import Step
from elastic.stages.sources.files.lines import LazyLines
from elastic.stages.worker.pipeline import optimize
from elastic.stages.worker.words import utf8_words, word_frame
from elastic.stages.worker.worker import Worker

QUICK: dict[str, Any] = {
    "cluster": "inline",
    "commit_interval": 1e-9,
    "collect_interval": 1e-9,
    "target_call_seconds": 1e-9,
}
TEXT = "".join(
    f"line {n} \u00e9t\u00e9\u00a0{n % 7}\tor\x1cnot\x85 to be\u2003{'x' * (n % 40)}  a\0{n % 3} \ufeffb\r\n"
    if n % 5
    else "\n"
    for n in range(900)
)
WORDS = Counter(TEXT.split())
LARGE, SMALL = 0, 1 << 60


@pytest.fixture(autouse=True)
def _columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small files count as large ones, and small tables be lazy."""
    choose(monkeypatch, LARGE)
    monkeypatch.setattr(basic_count, "MIN_LAZY_KEYS", 40)
    monkeypatch.setattr(word_count, "MIN_LAZY_KEYS", 40)


def choose(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(step, "MIN_LARGE_BYTES", size)
    monkeypatch.setattr(step, "MIN_LARGE_CHUNK_BYTES", 0)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    return path


def words_of(text: Path, aggregator: Any = Count, **files: Any) -> elastic.Flow:
    return elastic.read_text(text, **{"chunk_bytes": 2000, **files}).words().aggregate(aggregator)


def program_of(flow: elastic.Flow) -> Program:
    made: Step = flow.step(cluster="inline")
    return optimize(Program(made.reader(), made.transforms, made.aggregator, made.options.error_policy, b"", "", 0,
                            in_columns=made.is_large_for(1)))  # fmt: skip


def transforms_of(flow: elastic.Flow) -> tuple[Transform, ...]:
    return program_of(flow).transforms


class TestChoice:
    def test_words_of_large_files_become_a_column(self, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert transforms_of(words_of(text)) == (FrameWords(word_frame),)
        choose(monkeypatch, SMALL)
        assert transforms_of(words_of(text)) == (Words(utf8_words),)

    def test_small_files_do_not(self, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(step, "MIN_LARGE_CHUNK_BYTES", 2001)
        assert transforms_of(words_of(text)) == (Words(utf8_words),)
        assert transforms_of(words_of(text, chunk_bytes=1 << 20)) == (FrameWords(word_frame),)

    def test_functions_and_other_aggregators_get_strings(self, text: Path) -> None:
        class Own(Count):
            pass

        for aggregator in (Own, "collect", Max(key=len), TopK(3), Latest, Latest(by=len), ApproximateDistinct):
            flow = words_of(text, aggregator)
            assert program_of(flow).transforms == flow.step().transforms
        lower = elastic.read_text(text).words().map(str.lower).aggregate(Count())
        assert program_of(lower).transforms == lower.step().transforms

    def test_files_that_are_missing_raise_their_own_error(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="none"):
            words_of(tmp_path / "none").run(cluster="inline")

    def test_without_polars_words_stay_bytes(self, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "polars", None)
        assert transforms_of(words_of(text)) == (Words(utf8_words),)
        assert words_of(text).run(cluster="inline").value == WORDS


class TestRuns:
    @pytest.mark.parametrize("options", [{"cluster": "inline"}, QUICK, {**QUICK, "on_error": "skip"},
                                         {**QUICK, "on_error": "dead-letter", "compress": False},
                                         {"cluster": "inline", "persist": False}])  # fmt: skip
    def test_answer_receipts_and_root_are_the_same(
        self, text: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
    ) -> None:
        columns = words_of(text).run(**options)
        choose(monkeypatch, SMALL)
        plain = words_of(text).run(**options)
        strings = elastic.read_text(text, chunk_bytes=2000).flat_map(str.split).aggregate(Count()).run(**options)
        assert type(columns.value) is type(plain.value) is LazyCounter
        for other in (columns, strings):
            assert ResultDigest.of(other) == ResultDigest.of(plain)
            assert other.receipts == plain.receipts
        assert columns.value == plain.value == WORDS
        assert all(type(word) is str and type(count) is int for word, count in columns.value.items())

    @pytest.mark.parametrize("sizes", [(LARGE, SMALL), (SMALL, LARGE)])
    def test_a_run_goes_on_the_other_way(
        self, text: Path, monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, int]
    ) -> None:
        class Stop(elastic.Interceptor):
            def aggregated(self, receipt: elastic.Receipt, task_count: int) -> None:
                if task_count > 5:
                    raise KeyboardInterrupt

        choose(monkeypatch, sizes[0])
        with pytest.raises(KeyboardInterrupt):
            words_of(text).run(**QUICK, interceptor=Stop, max_chunks_in_flight=2)
        kept = elastic.result_of("last", words_of(text))
        assert 0 < sum(kept.value.values()) < sum(WORDS.values())
        choose(monkeypatch, sizes[1])
        result = elastic.resume("last", words_of(text), **QUICK)
        assert result.value == WORDS
        assert result.counters["resumes"] == 1
        assert result.root == words_of(text).run(cluster="inline").root
        assert elastic.verify(result.run_id, words_of(text), recompute=1.0).ok

    def test_a_run_is_proved_and_its_stored_result_is_read(self, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        result = words_of(text).run(**QUICK)
        for size in (LARGE, SMALL):
            choose(monkeypatch, size)
            proof = elastic.verify(result.run_id, words_of(text), recompute=1.0)
            assert proof.ok, str(proof)
            assert proof.steps[0].chunks_rerun == result.chunks
            assert elastic.result_of(result.run_id, words_of(text)).value == WORDS

    def test_workers_count_in_columns_as_this_process_does(self, text: Path, cluster: str) -> None:
        result = words_of(text).run(cluster=cluster)
        assert result.value == WORDS
        assert elastic.verify(result.run_id, words_of(text), recompute=1.0).ok

    def test_a_worker_takes_the_columns_of_its_program(self, text: Path) -> None:
        made = words_of(text).step()
        for in_columns, kind in ((True, WordCount), (False, Utf8Count)):
            program = Program(made.reader(), made.transforms, made.aggregator, made.options.error_policy, b"", "", 0,
                              in_columns=in_columns)  # fmt: skip
            assert type(Worker(program, node_id="n", worker_id="w")._program.aggregator) is kind

    @pytest.mark.parametrize("aggregator", [Count, Size, Max])
    @pytest.mark.parametrize("on_error", ["skip", "dead-letter"])
    def test_bad_lines_are_failed_records_in_columns_too(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aggregator: Any, on_error: str
    ) -> None:
        path = tmp_path / "bad.txt"
        path.write_bytes(b"".join(b"good %d\n" % n if n % 50 else b"bad \xff x\n" for n in range(500)))
        columns = words_of(path, aggregator).run(**QUICK, on_error=on_error)
        choose(monkeypatch, SMALL)
        plain = words_of(path, aggregator).run(**QUICK, on_error=on_error)
        assert (columns.errors, columns.entries) == (10, 500)
        assert ResultDigest.of(columns) == ResultDigest.of(plain)
        letters = [[letter.entry for letter in elastic.dead_letters(run.run_id)] for run in (columns, plain)]
        assert letters[0] == letters[1]

    @pytest.mark.parametrize("aggregator", [Size, Min, Max, Distinct])
    def test_other_answers_states_and_proofs_are_the_same(
        self, text: Path, monkeypatch: pytest.MonkeyPatch, aggregator: Any
    ) -> None:
        columns = words_of(text, aggregator).run(**QUICK)
        assert transforms_of(words_of(text, aggregator)) == (FrameWords(word_frame),)
        assert elastic.verify(columns.run_id, words_of(text, aggregator), recompute=1.0).ok
        choose(monkeypatch, SMALL)
        plain = words_of(text, aggregator).run(**QUICK)
        assert ResultDigest.of(columns) == ResultDigest.of(plain)
        assert columns.receipts == plain.receipts
        assert (columns.value, type(columns.value)) == (plain.value, type(plain.value))
        assert elastic.result_of(columns.run_id, words_of(text, aggregator)).value == plain.value

    def test_shards_have_the_same_digest(self, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        digests = set()
        for size in (LARGE, SMALL):
            choose(monkeypatch, size)
            value = words_of(text).run(**QUICK, shards=3).value
            assert dict(value) == WORDS
            digests.add(value.digest)
        assert len(digests) == 1

    def test_bytes_that_are_no_text_are_replaced(self, tmp_path: Path) -> None:
        path = tmp_path / "text.txt"
        data = b"a\xffb \xff\xfe c\xc3 \xed\xa0\x80 \0 \x00\x00 \xe2\x80\n\xf0\x9f" * 300
        path.write_bytes(data)
        result = words_of(path, errors="replace", chunk_bytes=500).run(cluster="inline")
        assert (
            result.value
            == elastic.read_text(path, errors="replace")
            .flat_map(str.split)
            .aggregate(Count())
            .run(cluster="inline")
            .value
        )

    @pytest.mark.parametrize("data", [b"", b"\n", b" \t\r\n", b"\0", b"a", b"\r", b"a\rb\r", b"\xc2\xa0" * 9])
    def test_little_text_is_counted(self, tmp_path: Path, data: bytes) -> None:
        path = tmp_path / "text.txt"
        path.write_bytes(data)
        assert words_of(path).run(cluster="inline").value == Counter(data.decode().split())

    def test_huge_words_are_counted(self, tmp_path: Path) -> None:
        path = tmp_path / "text.txt"
        path.write_text(f"{'x' * 1_500_000} {'é' * 300_000}\n{'x' * 1_500_000}\na\n")
        result = words_of(path, chunk_bytes=100_000).run(**QUICK)
        assert sorted(result.value.values()) == [1, 1, 2]
        assert result.value["x" * 1_500_000] == 2

    def test_a_partial_result_does_not_change_later(self, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for size in (LARGE, SMALL):
            choose(monkeypatch, size)
            aggregator = program_of(words_of(text)).aggregator
            entries: Iterator[Any] = iter([word_frame(["a b a"])] if size == LARGE else [b"a", b"b", b"a"])
            monkeypatch.setattr(basic_count, "MIN_LAZY_KEYS", 1)
            monkeypatch.setattr(word_count, "MIN_LAZY_KEYS", 1)
            state = aggregator.add_many(aggregator.create(), entries)
            before = aggregator.finish(state)
            state = aggregator.merge(state, aggregator.decode(Count().encode(Counter("aaac"))))
            assert (before, aggregator.finish(state)) == (Counter("aab"), Counter("aaaaabc"))


TEXTS = st.lists(
    st.text(st.one_of(st.sampled_from("ab \n\r\t\0\x1c\x85\u2003\ufeff\u00a0é😀"), st.characters(codec="utf-8"))),
    max_size=9,
)


class TestStates:
    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(TEXTS, min_size=1, max_size=4), st.integers())
    def test_states_and_results_are_those_of_count(self, pieces: list[list[str]], seed: int) -> None:
        count, columns, dice = Count(), WordCount(), random.Random(seed)
        utf8: Any = count.of_utf8()
        whole: list[Any] = [one.create() for one in (count, utf8, columns)]
        for piece in pieces:
            data = "\n".join(piece).encode()
            added = [
                count.add_many(count.create(), iter(data.decode().split())),
                utf8.add_many(utf8.create(), utf8_words(LazyLines(data))),
                columns.add_many(columns.create(), iter([word_frame(LazyLines(data))])),
            ]
            encoded = [one.encode(state) for one, state in zip((count, utf8, columns), added, strict=True)]
            for at, one in enumerate((count, utf8, columns)):
                whole[at] = one.merge_encoded(whole[at], dice.choice(encoded))
        wanted = Counter(" ".join(" ".join(piece) for piece in pieces).split())
        for one, state in zip((count, utf8, columns), whole, strict=True):
            found = one.finish(state)
            number = dice.randint(0, 5)
            assert found.most_common(number) == Counter(dict(list(one.finish(state).items()))).most_common(number)
            assert found == wanted == count.decode(one.encode(state))

    @settings(deadline=None)
    @given(st.lists(TEXTS, max_size=4))
    @pytest.mark.parametrize("make", [Size, Min, Max, Distinct])
    def test_states_of_other_aggregators_are_theirs(self, make: Any, pieces: list[list[str]]) -> None:
        inner = make()
        columns = inner.of_words()
        wanted, found = inner.create(), columns.create()
        for piece in pieces:
            data = "\n".join(piece).encode()
            wanted = inner.add_many(wanted, iter(data.decode().split()))
            state = columns.add_many(columns.create(), iter([word_frame(LazyLines(data))]))
            found = columns.merge_encoded(found, columns.encode(state))
        assert columns.finish(found) == inner.finish(wanted) == inner.finish(inner.decode(columns.encode(found)))

    @pytest.mark.parametrize(
        "plain",
        [
            [["a"], [1.5]], [["a"], [1, 2]], ["a\0b", bytes(8)], [[["a"]], bytes(8)], {"a": 1}, [["a", "a"], [1, 2]],
            [["a\0a"], bytes(16), 2], [["a\0b"], bytes(24), 3], [["a"], bytes(16), 2], [[1], [1]], [[None], [1]],
            [["a"], [1 << 80]], [["\udc00"], [1]], [["a"], bytes(8), -1], [[b"a"], [1]],
        ],
    )  # fmt: skip
    def test_what_is_no_state_of_words_is_refused(self, plain: Any) -> None:
        with pytest.raises(EncodingError):
            WordCount().decode(pack(plain))

    @pytest.mark.parametrize("keys", [[""], ["", "a"], ["a", ""], ["a\r", "b\nc"], ["\ufeffa", "a"], ["a\0b"], []])
    def test_states_of_strings_that_are_no_words_are_read(self, keys: list[str]) -> None:
        counts = Counter({key: at + 1 for at, key in enumerate(keys)})
        columns = WordCount()
        state = columns.decode(Count().encode(counts))
        assert columns.finish(state) == counts == Count().decode(columns.encode(state))

    def test_a_frame_count_is_still_a_frame(self, text: Path) -> None:
        frame = words_of(text, FrameCount).run(cluster="inline").value
        assert dict(frame.iter_rows()) == WORDS


def test_files_are_large_if_they_pay_for_each_process_that_imports_polars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"word\n" * 60)
    choose(monkeypatch, 100)
    made = elastic.read_text(path).words().aggregate(Count()).step()
    assert [made.is_large_for(processes) for processes in (1, 3, 4)] == [True, True, False]
