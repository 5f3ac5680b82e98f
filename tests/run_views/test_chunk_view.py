"""View of one chunk: its six receipts, and where it is without them."""

from pathlib import Path

from elastic.core.model.chunk_location import ChunkLocation, InFlightNote
from elastic.persistence.run_store.in_flight_file import write_note
from elastic.persistence.run_store.sqlite_store import SqliteRunStore
from elastic.run_history import RunHistory
from elastic.run_views.chunk_view import ChunkView, chunk_view
from tests.run_views.stored_run_samples import BEGAN, KEY, RUN, Sample, damage, home_of, letter_of, make_run, opened


def view(folder: Path, chunk_id: int) -> ChunkView:
    reader, record = opened(folder)
    try:
        return chunk_view(reader, record, None, chunk_id)
    finally:
        reader.close()


def test_an_aggregated_chunk_has_six_receipts_that_verify(home: Path) -> None:
    folder = make_run(home, Sample(chunks=10, batch=4, failed={5: 1}, letters=[letter_of(5, 2)]))
    found = view(folder, 5)
    assert [station.stage for station in found.stations] == [
        "distributed", "sent", "received", "processed", "returned", "aggregated"
    ]  # fmt: skip
    assert [station.node for station in found.stations] == [
        "node-1",
        "node-1",
        "node-2",
        "node-2/0",
        "node-2",
        "node-1",
    ]
    assert (found.is_verified, found.entries, found.failed, found.attempt) == (True, 3, 1, 1)
    assert (found.batch_first, found.batch, [kept.index for kept in found.letters]) == (4, 4, [2])
    assert found.cut_at is not None
    assert abs(found.cut_at.timestamp() - BEGAN - 0.005) < 1e-6


def test_the_receipts_are_those_that_the_command_line_prints(home: Path) -> None:
    folder = make_run(home, Sample(chunks=10, batch=4))
    rows = RunHistory(home_of(folder)).chunk(RUN, 0, 9)
    assert [row["receipt"] for row in rows] == [station.receipt for station in view(folder, 9).stations]
    assert [row["receipt"] for row in RunHistory(home_of(folder)).chunk(RUN, 0, 10)] == []


def test_receipts_of_another_key_do_not_verify(home: Path) -> None:
    folder = make_run(home, Sample(chunks=4))
    reader, record = opened(folder)
    reader.run_id = "20261120-231513-000000000000"
    try:
        found = chunk_view(reader, record, None, 1)
    finally:
        reader.close()
    assert found.is_verified is False
    assert found.damage


def test_a_damaged_row_is_named(home: Path) -> None:
    folder = make_run(home, Sample(chunks=8, batch=4))
    damage(folder, "UPDATE receipt SET seal=x'00' WHERE first=4")
    found = view(folder, 6)
    assert (found.is_verified, found.stations, found.is_aggregated) == (False, (), True)
    assert "receipts of the batch at chunk 4 are damaged" in found.damage
    assert view(folder, 3).is_verified is True


def test_a_chunk_whose_receipts_are_missing_is_named(home: Path) -> None:
    folder = make_run(home, Sample(chunks=8, batch=4))
    damage(folder, "DELETE FROM receipt WHERE first=4")
    found = view(folder, 6)
    assert (found.is_verified, found.is_aggregated) == (False, True)
    assert "receipts are missing" in found.damage


def test_a_chunk_in_flight_shows_the_last_note_of_the_master(home: Path) -> None:
    folder = make_run(home, Sample(chunks=4, state="in_progress", counters={"cut": 9, "sent": 8}))
    lost = ChunkLocation(4, 8, "node-2", "node-2/1", "processed", 2, ((4, 3),), "the node did not answer")
    write_note(folder, KEY, 0, InFlightNote(BEGAN, (lost,), ()))
    found = view(folder, 5)
    assert [station.is_reached for station in found.stations] == [True, True, True, True, False, False]
    assert (found.worker, found.attempt, found.entries, found.lost) == ("node-2/1", 2, 3, "the node did not answer")
    assert (found.is_verified, found.is_aggregated, found.damage) == (None, False, "")
    waiting = view(folder, 8)
    assert [station.is_reached for station in waiting.stations] == [True] + [False] * 5


def test_the_row_of_a_chunk_is_found_among_many_steps_and_gaps(tmp_path: Path) -> None:
    store = SqliteRunStore.create(tmp_path / RUN, RUN, KEY)
    store.begin(0, "a", {}, 0.0)
    try:
        assert store.receipt_row_of(0, 0) is None
        assert store.receipt_row_of(0, 1 << 70) is None
    finally:
        store.close()
