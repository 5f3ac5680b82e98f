"""Cells of a grid of chunks: their states, their colourings, and cells of several chunks."""

from pathlib import Path

import pytest

from elastic.core.errors import UsageError
from elastic.core.model.live_view import LiveSpan, LiveView
from elastic.run_views.chunk_cells import CellState, ChunkCells, cells_of, spans_of
from tests.run_views.stored_run_samples import Sample, damage, letter_of, live_of, make_run, opened


def cells(folder: Path, live: LiveView | None = None, **options: object) -> ChunkCells:
    reader, record = opened(folder)
    try:
        return cells_of(reader, record, live, **options)  # type: ignore[arg-type]
    finally:
        reader.close()


class TestStates:
    def test_each_chunk_of_a_complete_step_has_one_byte(self, home: Path) -> None:
        found = cells(make_run(home, Sample(chunks=10)))
        assert (found.cells, found.total, found.per_cell, found.damaged) == (bytes([6] * 10), 10, 1, ())

    def test_failed_entries_make_a_chunk_bad_with_and_without_dead_letters(self, home: Path) -> None:
        found = cells(make_run(home, Sample(failed={2: 1, 9: 3}, letters=[letter_of(2)])))
        assert [at for at, state in enumerate(found.cells) if state == CellState.BAD] == [2, 9]

    def test_a_chunk_is_redriven_once_all_its_letters_are(self, home: Path) -> None:
        letters = [letter_of(2, 0), letter_of(2, 1), letter_of(5, 0), letter_of(5, 1)]
        folder = make_run(home, Sample(failed={2: 2, 5: 2}, letters=letters, redriven=((2, 0), (2, 1), (5, 0))))
        found = cells(folder).cells
        assert (found[2], found[5]) == (CellState.REDRIVEN, CellState.BAD)

    def test_chunks_of_a_batch_that_was_sent_twice_are_shown(self, home: Path) -> None:
        found = cells(make_run(home, Sample(chunks=8, batch=4, resent=(5,)))).cells
        assert found == bytes([6] * 4 + [8] * 4)

    def test_a_damaged_row_is_shown_and_the_others_stay(self, home: Path) -> None:
        folder = make_run(home, Sample(chunks=8, batch=4))
        damage(folder, "UPDATE receipt SET data=x'00' WHERE first=4")
        found = cells(folder)
        assert (found.cells, found.damaged) == (bytes([6] * 4 + [10] * 4), ((4, 8),))

    def test_a_row_that_claims_a_huge_number_of_chunks_is_damaged_and_bounded(self, home: Path) -> None:
        folder = make_run(home, Sample(chunks=8, batch=4))
        damage(folder, "UPDATE receipt SET count=? WHERE first=4", 1 << 60)
        assert cells(folder).cells == bytes([6] * 4 + [10] * 4)

    def test_chunks_in_flight_come_from_the_live_view(self, home: Path) -> None:
        folder = make_run(home, Sample(chunks=4, state="in_progress"))
        live = live_of(
            LiveSpan(0, 4, "aggregated", None, 1),
            LiveSpan(4, 6, "processed", 0, 1),
            LiveSpan(6, 8, "sent", None, 1),
            LiveSpan(8, 9, "sent", None, 3),
            cut=11,
            expected=13,
        )
        assert cells(folder, live).cells == bytes([6, 6, 6, 6, 4, 4, 2, 2, 8, 1, 1, 0, 0])

    def test_a_step_without_chunks_has_no_cells(self, home: Path) -> None:
        found = cells(make_run(home, Sample(chunks=0)))
        assert (found.cells, found.total) == (b"", 0)


class TestGroups:
    def test_a_cell_of_several_chunks_shows_the_worst_of_them(self, home: Path) -> None:
        folder = make_run(home, Sample(chunks=12, failed={7: 1}, resent=(0,), batch=1))
        found = cells(folder, max_cells=4)
        assert (found.per_cell, list(found.cells)) == (3, [8, 6, 7, 6])

    def test_one_chunk_that_is_to_come_is_worse_than_those_in_the_result(self, home: Path) -> None:
        folder = make_run(home, Sample(chunks=5, state="in_progress"))
        assert list(cells(folder, live_of(cut=6, expected=9), max_cells=3).cells) == [6, 1, 0]

    def test_a_part_of_the_chunks_is_read_alone(self, home: Path) -> None:
        folder = make_run(home, Sample(chunks=1000, batch=64, failed={500: 1}))
        found = cells(folder, span=(499, 502))
        assert (found.cells, found.first, found.total) == (bytes([6, 7, 6]), 499, 1000)

    def test_spans_of_equal_cells_are_joined_for_the_table(self, home: Path) -> None:
        found = cells(make_run(home, Sample(chunks=10, failed={3: 1, 4: 1, 8: 1})))
        assert spans_of(found, [7]) == [(3, 5, 7), (8, 9, 7)]

    @pytest.mark.parametrize(
        "options", [{"span": (-1, None)}, {"span": (11, None)}, {"span": (5, 4)}, {"by": "colour"}, {"max_cells": 0}]
    )
    def test_chunks_that_do_not_exist_are_refused(self, home: Path, options: dict[str, object]) -> None:
        folder = make_run(home)
        with pytest.raises(UsageError):
            cells(folder, **options)


class TestColourings:
    def test_chunks_are_coloured_by_their_worker(self, home: Path) -> None:
        found = cells(make_run(home, Sample(chunks=6, batch=2)), by="worker")
        assert (list(found.cells), found.legend) == ([1, 1, 2, 2, 1, 1], ("node-1/0", "node-2/0"))

    def test_many_workers_share_the_last_colour(self, home: Path) -> None:
        workers = tuple(f"node/{number}" for number in range(40))
        found = cells(make_run(home, Sample(chunks=40, batch=1, workers=workers)), by="worker")
        assert (max(found.cells), found.legend[-1], len(found.legend)) == (16, "others", 16)

    def test_chunks_are_coloured_by_their_attempt(self, home: Path) -> None:
        found = cells(make_run(home, Sample(chunks=4, batch=2, resent=(3,))), by="attempt")
        assert (list(found.cells), found.legend) == ([1, 1, 2, 2], ("attempt 1", "attempt 2"))

    def test_time_is_graded_from_the_first_to_the_last_chunk(self, home: Path) -> None:
        found = cells(make_run(home, Sample(chunks=100, batch=10)), by="time")
        assert (found.cells[0], found.cells[-1], sorted(set(found.cells))) == (1, 16, list(range(1, 17)))

    def test_equal_sizes_have_one_grade(self, home: Path) -> None:
        found = cells(make_run(home, Sample(chunks=5)), by="size")
        assert (set(found.cells), found.legend) == ({1}, ("3", "3"))
