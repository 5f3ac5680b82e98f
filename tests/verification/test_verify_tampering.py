"""Every change in the files of a run is found, with the chunk, even if the seals were computed again."""

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from verify_tampering import (
    Edit,
    both,
    count,
    folder_of,
    of_row,
    rows,
    statement,
    swap,
    tamper,
    without_row,
)

import elastic
from elastic.aggregators import Collect, Count
from elastic.core.encoding import compress, pack
from elastic.core.model.receipt_row import ReceiptRow
from elastic.engine.result import Result
from tests.core.column_samples import with_changes

FORGED = compress(pack(1_000_000))
CHUNKS = 20


def fail_on_some(number: int) -> int:
    if number % 50 == 7:
        raise ValueError(number)
    return number


def flow(aggregator: Any) -> elastic.Flow:
    return elastic.from_range(200, chunk_size=10).map(fail_on_some).aggregate(aggregator)


def run(**options: Any) -> Result:
    """A run of twenty chunks, each with its own batch and partial."""
    given: dict[str, Any] = {"cluster": "inline", "max_chunks_per_call": 1, "on_error": "dead-letter", **options}
    return flow(Collect()).run(**given)


def of_chunk(chunk_id: int, column: str, change: Callable[[int], int]) -> Edit:
    """Return an edit of a column of numbers, for one chunk."""

    def changed(row: ReceiptRow) -> ReceiptRow:
        values = list((row.failed if column == "failed" else getattr(row.columns, column)) or (0,) * row.count)
        values[chunk_id - row.first] = change(values[chunk_id - row.first])
        return with_changes(row, **{column: tuple(values)})

    return of_row(chunk_id, changed)


def of_digest(chunk_id: int, column: str) -> Edit:
    """Return an edit of a column of digests, for one chunk."""

    def changed(row: ReceiptRow) -> ReceiptRow:
        values, at = bytearray(getattr(row.columns, column)), 16 * (chunk_id - row.first)
        values[at] ^= 1
        return with_changes(row, **{column: bytes(values)})

    return of_row(chunk_id, changed)


def of_rows(one: int, other: int, column: str) -> Edit:
    """Return an edit that swaps the contents of two rows of receipts."""
    return swap("receipt", column, "rowid", one + 1, other + 1)


DOUBLED_ROW = "INSERT INTO receipt SELECT step, 100, count, attempt, worker, data, seal FROM receipt WHERE first=5"
DOUBLED_STATE = "INSERT INTO partial SELECT step, 20, data, seal FROM partial WHERE ordinal=5"

#: edits, and the chunk that must be named
EDITS: dict[str, tuple[Edit, int]] = {
    "a row deleted": (without_row(5), 5),
    "a row deleted, and the count of them": (both(without_row(5), count("receipts", -1)), 5),
    "entries": (of_chunk(5, "entries", lambda entries: entries + 1), 5),
    "time of conception": (of_chunk(5, "cut_at", lambda at: at + 1), 5),
    "failed entries added": (of_chunk(6, "failed", lambda failed: failed + 1), 6),
    "failed entries taken away": (of_chunk(5, "failed", lambda failed: 0), 5),
    "content": (of_digest(5, "contents"), 5),
    "link": (of_row(5, lambda row: replace(row, link=bytes(16))), 5),
    "digest of the partial": (of_row(5, lambda row: replace(row, states=bytes(16))), 5),
    "two chunks swapped": (of_rows(5, 8, "first"), 5),
    "the data of two chunks swapped": (of_rows(5, 8, "data"), 8),
    "a batch doubled": (statement(DOUBLED_ROW), 100),
    "attempt": (statement("UPDATE receipt SET attempt=attempt+1 WHERE first=5"), 5),
    "number that is none": (statement("UPDATE receipt SET attempt='one' WHERE first=5"), 5),
    "count of chunks": (statement("UPDATE receipt SET count='many' WHERE first=5"), 5),
    "worker": (statement("UPDATE worker SET worker_id='other'"), 0),
    "no worker": (statement("DELETE FROM worker"), 0),
    "node": (statement("UPDATE worker SET node_id='other'"), 0),
    "place": (statement("UPDATE receipt SET first='four' WHERE first=5"), 5),
    "bytes of a row": (statement("UPDATE receipt SET data=x'00' WHERE first=5"), 5),
    "a partial": (statement("UPDATE partial SET data=? WHERE ordinal=5", FORGED), 5),
    "a partial deleted": (statement("DELETE FROM partial WHERE ordinal=5"), 5),
    "the last partial deleted, and counted": (
        both(statement("DELETE FROM partial WHERE ordinal=19"), count("partials", -1)), 19),
    "a partial merged twice": (both(statement(DOUBLED_STATE), count("partials", 1)), 5),
    "two partials swapped": (swap("partial", "data", "ordinal", 5, 8), 5),
    "a letter": (statement("UPDATE letter SET data=? WHERE chunk=5", pack(1)), 5),
    "a letter deleted": (statement("DELETE FROM letter WHERE chunk=5"), 5),
    "a letter deleted, and counted": (both(statement("DELETE FROM letter WHERE chunk=5"), count("letters", -1)), 5),
    "a letter moved": (statement("UPDATE letter SET chunk=6 WHERE chunk=5"), 5),
    "a letter said to be redriven": (
        both(statement("UPDATE letter SET redriven=1 WHERE chunk=5"), count("redriven", 1)), -1),
    "the watermark": (statement("UPDATE progress SET low=19"), 19),
    "the state": (statement("UPDATE progress SET state='error'"), -1),
    "a counter": (statement("UPDATE progress SET counters=json_set(counters, '$.entries', 201)"), -1),
    "a receipt that was not counted": (
        statement("UPDATE progress SET counters=json_set(counters, '$.returned', 19)"), -1),
    "the nodes of the master": (statement("UPDATE step SET manifest=json_set(manifest, '$.node', 'other')"), 0),
}  # fmt: skip


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    home = tmp_path_factory.mktemp("untouched")
    return home, run(home=home).run_id


@pytest.mark.parametrize("sealed", [False, True], ids=["as it is", "sealed again"])
@pytest.mark.parametrize("name", EDITS)
def test_an_edit_behind_the_back_of_a_run_is_found(
    name: str, untouched: tuple[Path, str], tmp_path: Path, *, sealed: bool
) -> None:
    home, run_id = untouched
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    assert elastic.verify(run_id, home=tmp_path).ok
    edit, chunk = EDITS[name]
    tamper(folder_of(tmp_path, run_id), edit, sealed=sealed)
    verification = elastic.verify(run_id, home=tmp_path)
    assert not verification.ok
    told = str(verification)
    if chunk < 0 or (not sealed and "step 0: the progress is damaged" in told):
        return
    named = [finding for finding in verification.findings if finding.first is not None and finding.stop is not None]
    is_named = any(finding.first <= chunk < finding.stop for finding in named)
    assert is_named or "step 0: the manifest is damaged" in told, told
    assert all(finding.stop - finding.first <= CHUNKS for finding in named)


def test_a_finding_says_where_and_what(home: Path) -> None:
    result = run()
    tamper(folder_of(home, result.run_id), without_row(5), sealed=False)
    told = str(elastic.verify(result.run_id)).splitlines()
    assert f"step 0, chunk 5: its receipts are missing, run {result.run_id}" in told


#: edits of the batch with the most chunks, or of the partial of all chunks
OF_BATCHES: dict[str, Edit] = {
    "deleted": lambda connection: connection.execute("DELETE FROM receipt WHERE first=?", (largest(connection).first,)),
    "two chunks swapped": lambda connection: of_row(
        largest(connection).first, lambda row: with_changes(row, contents=turned(row.columns.contents))
    )(connection),
    "another link": lambda connection: of_row(
        largest(connection).first, lambda row: replace(row, link=row.columns.contents[:16])
    )(connection),
    "a partial changed": statement("UPDATE partial SET data=? WHERE ordinal=0", FORGED),
    "a partial deleted": statement("DELETE FROM partial"),
    "a partial merged twice": both(
        statement("INSERT INTO partial SELECT step, (SELECT partials FROM progress), data, seal FROM partial"),
        count("partials", 1),
    ),
}


def largest(connection: sqlite3.Connection) -> ReceiptRow:
    """Return the row of receipts with the most chunks."""
    return max((row for _, row in rows(connection)), key=lambda row: row.count)


def turned(digests: bytes) -> bytes:
    """Return digests with the first two swapped."""
    assert digests[:16] != digests[16:32]
    return digests[16:32] + digests[:16] + digests[32:]


@pytest.mark.parametrize("sealed", [False, True], ids=["as it is", "sealed again"])
@pytest.mark.parametrize("name", OF_BATCHES)
def test_an_edit_of_a_batch_of_many_chunks_is_found(name: str, home: Path, *, sealed: bool) -> None:
    result = elastic.from_range(2_000, chunk_size=2).aggregate("sum").run(cluster="inline", collect_interval=60.0)
    folder = folder_of(home, result.run_id)
    with closing(sqlite3.connect(folder / "run.sqlite")) as connection:
        row = largest(connection)
        assert row.count > 1
        assert connection.execute("SELECT count(*) FROM partial").fetchall() == [(1,)]
    tamper(folder, OF_BATCHES[name], sealed=sealed)
    verification = elastic.verify(result.run_id)
    assert not verification.ok
    if "partial" in name:
        stated = [(finding.first, finding.stop) for finding in verification.findings]
        assert (0, 1000) in stated or "the progress is damaged" in str(verification)
        return
    (finding,) = verification.findings
    assert (finding.first, finding.stop) == (row.first, row.first + row.count)


@pytest.mark.parametrize("chance", range(3))
def test_a_flip_of_any_byte_is_found_or_nothing_that_is_read_differs(chance: int, home: Path) -> None:
    counted = flow(Count())
    result = counted.run(cluster="inline", on_error="dead-letter")
    folder, good = folder_of(home, result.run_id), elastic.verify(result.run_id)
    value = elastic.result_of(result.run_id, counted).value
    rng, found = random.Random(chance), 0
    for name in ("run.sqlite", "key"):
        data = (folder / name).read_bytes()
        for place in rng.sample([at for at, byte in enumerate(data) if byte], 25):
            flipped = bytes([data[place] ^ 1 << rng.randrange(8)])
            (folder / name).write_bytes(data[:place] + flipped + data[place + 1 :])
            verification = elastic.verify(result.run_id)
            found += not verification.ok
            assert name != "key" or not verification.ok
            if verification.ok:
                assert verification == good
                assert elastic.result_of(result.run_id, counted).value == value
        (folder / name).write_bytes(data)
    assert found > 30


def test_a_consistently_shortened_run_is_found_by_its_root(home: Path) -> None:
    result = _shortened(home)
    assert elastic.verify(result.run_id).ok  # without the key, and with all numbers made consistent
    assert elastic.verify(result.run_id, root=result.root).findings[0].what.startswith("the root is")
    plain = elastic.from_range(200, chunk_size=10).aggregate(Collect())
    assert not elastic.verify(result.run_id, plain, recompute=0.01).ok


def _shortened(home: Path) -> Result:
    """Remove the last batch of a run with its partial, and correct the counts."""
    plain = elastic.from_range(200, chunk_size=10).aggregate(Collect())
    result = plain.run(cluster="inline", max_chunks_per_call=1)
    counters = "json_set(counters, '$.entries', 190, '$.cut', 19" + "".join(
        f", '$.{stage.value}', 19" for stage in elastic.Stage
    )
    tamper(
        folder_of(home, result.run_id),
        both(
            statement("DELETE FROM receipt WHERE first=19"),
            statement("DELETE FROM partial WHERE ordinal=(SELECT max(ordinal) FROM partial)"),
            statement(f"UPDATE progress SET low=19, partials=partials-1, receipts=receipts-1, counters={counters})"),
        ),
        sealed=True,
    )
    return result


def test_the_root_that_a_run_printed_is_compared() -> None:
    result = run()
    step = elastic.verify(result.run_id).steps[0]
    for root in (result.root, result.root[:16], step.receipts_root[:16].upper()):
        assert elastic.verify(result.run_id, root=root).ok
    (finding,) = elastic.verify(result.run_id, root="0" * 16).findings
    assert finding.what.startswith(f"the root is {result.root[:16]}, not {'0' * 16}")
