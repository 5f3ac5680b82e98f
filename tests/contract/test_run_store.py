"""Contract of all run stores."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_store import RUN, kept

from elastic.core.contracts.store import Commit, RunStore
from elastic.core.errors import EncodingError, StoreError
from elastic.core.model.chunk_columns import ChunkColumns
from elastic.core.model.failure import DeadLetter, Failure
from elastic.core.model.receipt_row import ReceiptRow
from elastic.persistence.run_store.memory_store import MemoryRunStore
from elastic.persistence.run_store.sqlite_store import SqliteRunStore
from tests.core.column_samples import with_changes

KEY = bytes(range(32))


def row_of(first: int, count: int = 2, **changes: Any) -> ReceiptRow:
    columns = ChunkColumns(
        first,
        attempt=0,
        cut_at=tuple(1_800_000_000_000_000 + n for n in range(count)),
        entries=tuple(range(first, first + count)),
        contents=bytes(range(16)) * count,
    )
    return with_changes(ReceiptRow(columns, "node-a", "worker-1", b"s" * 16, b"l" * 16), **changes)


def letter_of(chunk_id: int, index: int | None, **changes: Any) -> DeadLetter:
    failure = Failure(chunk_id, index, f"byte {index} of '\udcff'", "map(f)", "ValueError", "no\0", "Traceback\n" * 3)
    return replace(DeadLetter(failure, b"\xa3bad", receipt="token"), **changes)


def commit_of(low: int, *partials: bytes, **changes: Any) -> Commit:
    values = {"low": low, "bitmap": b"", "position": (0, low), "exhausted": False, "partials": partials}
    return Commit(**{**values, **changes})


@pytest.fixture(params=["memory", "sqlite"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunStore]:
    store: RunStore = (
        MemoryRunStore(RUN, KEY) if request.param == "memory" else SqliteRunStore.create(tmp_path / RUN, RUN, KEY)
    )
    yield store
    store.close()


class TestRunStore:
    def test_a_new_run_has_its_id_its_key_epoch_one_and_no_steps(self, run: RunStore) -> None:
        assert (run.run_id, run.key, run.epoch, run.steps()) == (RUN, KEY, 1, [])

    def test_a_step_begins_in_progress_with_its_manifest(self, run: RunStore) -> None:
        manifest = {"source": {"paths": ["\udcff", "ä"]}, "size": 1 << 70, "ratio": 0.1, "none": None}
        run.begin(0, "count", manifest, 12.5)
        [record] = run.steps()
        assert (record.step, record.name, record.state, record.manifest) == (0, "count", "in_progress", manifest)
        assert (record.started_at, record.ended_at, record.error, record.low) == (12.5, None, None, 0)

    def test_a_manifest_that_is_not_json_is_refused(self, run: RunStore) -> None:
        with pytest.raises(EncodingError, match="manifest of step 3"):
            run.begin(3, "count", {"function": object()}, 0.0)
        assert run.steps() == []

    def test_tuples_of_a_manifest_become_lists_in_every_store(self, run: RunStore) -> None:
        run.begin(0, "count", {"pair": (1, 2)}, 0.0)
        assert run.steps()[0].manifest == {"pair": [1, 2]}

    def test_a_commit_is_seen_as_a_whole(self, run: RunStore) -> None:
        run.begin(0, "count", {}, 0.0)
        run.commit(
            0,
            commit_of(
                3,
                b"one",
                b"",
                bitmap=b"\x05",
                position=("a.txt", (1, None)),
                exhausted=True,
                counters={"entries": 9, "dropped": 2**70},
                receipts=(row_of(0),),
            ),
        )
        [record] = run.steps()
        assert (record.low, record.bitmap, record.position) == (3, b"\x05", ("a.txt", (1, None)))
        assert (record.exhausted, record.counters) == (True, {"entries": 9, "dropped": 2**70})
        assert list(run.partials(0)) == [b"one", b""]
        assert list(run.receipts(0)) == [row_of(0)]

    def test_dead_letters_are_returned_by_chunk_and_index_until_they_are_redriven(self, run: RunStore) -> None:
        run.begin(0, "count", {}, 0.0)
        run.begin(1, "count", {}, 0.0)
        letters = [letter_of(5, 1), letter_of(5, 0), letter_of(2, None, entry=b"\x93\x01\x02\x03", entries=3)]
        run.commit(0, commit_of(1, dead_letters=tuple(letters[:2])))
        run.commit(0, commit_of(2, dead_letters=tuple(letters[2:])))
        run.commit(1, commit_of(1, dead_letters=(letter_of(5, 1, attempts=9),)))
        assert list(run.dead_letters(0)) == [letters[2], letters[1], letters[0]]
        run.commit(0, commit_of(3, b"repaired", redriven=((2, None), (5, 1)), dead_letters=(letter_of(6, 0),)))
        assert list(run.dead_letters(0)) == [letter_of(5, 0), letter_of(6, 0)]
        assert list(run.partials(0)) == [b"repaired"]
        assert list(run.dead_letters(1)) == [letter_of(5, 1, attempts=9)]

    def test_a_dead_letter_is_neither_stored_nor_redriven_twice(self, run: RunStore) -> None:
        run.begin(0, "count", {}, 0.0)
        run.commit(0, commit_of(1, dead_letters=(letter_of(0, 0), letter_of(0, 1))))
        run.commit(0, commit_of(2, redriven=((0, 1),)))
        with pytest.raises(StoreError):
            run.commit(0, commit_of(3, b"again", dead_letters=(letter_of(0, 0),)))
        assert list(run.dead_letters(0)) == [letter_of(0, 0)]
        assert list(run.partials(0)) == []

    @pytest.mark.parametrize("key", [(0, 1), (0, 2), (0, None), (1, 0)])
    def test_an_unknown_or_redriven_dead_letter_cannot_be_redriven(
        self, run: RunStore, key: tuple[int, int | None]
    ) -> None:
        run.begin(0, "count", {}, 0.0)
        run.commit(0, commit_of(1, dead_letters=(letter_of(0, 0), letter_of(0, 1))))
        run.commit(0, commit_of(2, redriven=((0, 1),)))
        with pytest.raises(StoreError, match="has no dead letter of"):
            run.commit(0, commit_of(3, b"again", redriven=((0, 0), key)))
        assert list(run.dead_letters(0)) == [letter_of(0, 0)]
        assert list(run.partials(0)) == []
        assert run.steps()[0].low == 2

    def test_numbers_of_failed_entries_come_back_with_their_receipts(self, run: RunStore) -> None:
        run.begin(0, "count", {}, 0.0)
        rows = (row_of(0, failed=(0, 700)), row_of(2), row_of(4, failed=(0, 0)))
        run.commit(0, commit_of(6, receipts=rows))
        assert list(run.receipts(0)) == list(rows)

    def test_the_manifests_of_all_masters_are_kept_in_order(self, run: RunStore) -> None:
        for at in range(3):
            run.begin(0, "count", {"node": f"node-{at}"}, float(at))
        [record] = run.steps()
        assert (record.manifest, record.started_at) == ({"node": "node-0"}, 0.0)
        assert record.resumed == ({"node": "node-1"}, {"node": "node-2"})

    def test_partials_come_back_in_the_order_of_their_commits(self, run: RunStore) -> None:
        run.begin(0, "count", {}, 0.0)
        run.begin(1, "sort", {}, 0.0)
        for n in range(5):
            run.commit(0, commit_of(n, b"a%d" % n, b"b%d" % n))
            run.commit(1, commit_of(n, b"other"))
        assert list(run.partials(0)) == [b"%c%d" % (letter, n) for n in range(5) for letter in b"ab"]

    def test_receipts_come_back_by_chunk_whatever_order_they_came_in(self, run: RunStore) -> None:
        run.begin(0, "count", {}, 0.0)
        run.begin(1, "count", {}, 0.0)
        rows = [row_of(6), row_of(2, worker_id="worker-2"), row_of(8, 1, attempt=3), row_of(0)]
        run.commit(0, commit_of(0, receipts=tuple(rows[:2])))
        run.commit(0, commit_of(0, receipts=tuple(rows[2:])))
        run.commit(1, commit_of(0, receipts=(row_of(0, node_id="other"),)))
        assert list(run.receipts(0)) == sorted(rows, key=lambda row: row.first)

    def test_the_facts_of_a_step_stay_when_it_begins_again(self, run: RunStore) -> None:
        run.begin(0, "count", {"a": 1}, 5.0)
        run.commit(0, commit_of(3, b"state", counters={"n": 1}))
        run.end(0, "failed", 9.0, "it broke.")
        run.begin(0, "count", {"a": 2}, 20.0)
        [record] = run.steps()
        assert (record.state, record.ended_at, record.error) == ("in_progress", None, None)
        assert (record.low, record.counters, record.manifest, record.started_at) == (3, {"n": 1}, {"a": 1}, 5.0)
        assert list(run.partials(0)) == [b"state"]

    def test_the_end_of_a_step_is_kept_beside_its_progress(self, run: RunStore) -> None:
        run.begin(0, "count", {}, 1.0)
        run.commit(0, commit_of(4))
        run.end(0, "completed", 2.5)
        run.begin(1, "sort", {}, 3.0)
        run.end(1, "failed", 4.0, "entry 3: no")
        first, second = run.steps()
        assert (first.state, first.low, first.ended_at, first.error) == ("completed", 4, 2.5, None)
        assert (second.state, second.ended_at, second.error) == ("failed", 4.0, "entry 3: no")

    def test_text_that_no_database_takes_is_kept_readable(self, run: RunStore) -> None:
        run.begin(0, "count \udcff", {}, 0.0)
        run.end(0, "failed", 1.0, "no file 'b\udcff\0ä'")
        [record] = run.steps()
        assert (record.name, record.error) == ("count \\udcff", "no file 'b\\udcff\\x00ä'")

    def test_steps_come_in_order(self, run: RunStore) -> None:
        for step in (2, 0, 1):
            run.begin(step, f"step {step}", {}, 0.0)
        assert [record.step for record in run.steps()] == [0, 1, 2]

    def test_a_step_that_never_began_is_named(self, run: RunStore) -> None:
        for ask in (
            lambda: run.commit(7, commit_of(0)),
            lambda: run.end(7, "failed", 1.0),
            lambda: list(run.partials(7)),
            lambda: list(run.receipts(7)),
            lambda: list(run.dead_letters(7)),
        ):
            with pytest.raises(StoreError, match="no step 7"):
                ask()
        run.begin(0, "count", {}, 0.0)
        run.commit(0, commit_of(1))

    def test_a_batch_is_not_committed_twice(self, run: RunStore) -> None:
        run.begin(0, "count", {}, 0.0)
        run.commit(0, commit_of(1, b"once", receipts=(row_of(0),)))
        with pytest.raises(StoreError):
            run.commit(0, commit_of(2, b"twice", receipts=(row_of(0),)))
        assert list(run.partials(0)) == [b"once"]
        assert run.steps()[0].low == 1

    def test_the_chunks_of_a_step_are_always_the_same_store(self, run: RunStore) -> None:
        run.chunks(0).put(kept(1))
        run.chunks(1).put(kept(2))
        run.chunks(0).delete([1])
        assert list(run.chunks(0).unfinished()) == []
        assert list(run.chunks(1).unfinished()) == [2]
