"""Errors of runs that cannot be opened; damage is always detected."""

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from persistence_samples import KEY, OTHER_RUN, RUN, everything, make_run

from elastic.core.errors import CorruptStoreError, StoreError, UnknownRunError
from elastic.persistence.run_store.sqlite_store import SqliteRunStore

OPENERS = [SqliteRunStore.open, SqliteRunStore.read]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_run(tmp_path)


def change(folder: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(folder / "run.sqlite")
    with connection:
        assert connection.execute(statement, values).rowcount != 0
    connection.close()


@pytest.mark.parametrize("opener", OPENERS)
def test_a_run_that_is_not_there_is_unknown_and_is_not_made(
    opener: Callable[[Path], SqliteRunStore], tmp_path: Path
) -> None:
    (tmp_path / OTHER_RUN).mkdir()
    (tmp_path / "file").write_text("")
    for name in (RUN, OTHER_RUN, "file"):
        with pytest.raises(UnknownRunError, match=repr(name)):
            opener(tmp_path / name)
    assert list((tmp_path / OTHER_RUN).iterdir()) == []


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("version", [1, 3])
def test_a_run_of_another_format_is_refused_and_stays_as_it_is(
    opener: Callable[[Path], SqliteRunStore], version: int, folder: Path
) -> None:
    change(folder, f"PRAGMA user_version={version}")
    before = (folder / "run.sqlite").read_bytes()
    with pytest.raises(
        StoreError, match=f"has format {version}, and this version of Elastic reads format 2; use the version"
    ) as raised:
        opener(folder)
    assert not isinstance(raised.value, CorruptStoreError)
    assert (folder / "run.sqlite").read_bytes() == before


@pytest.mark.parametrize("opener", OPENERS)
def test_a_link_in_the_place_of_the_file_is_not_followed(
    opener: Callable[[Path], SqliteRunStore], folder: Path
) -> None:
    (folder / "run.sqlite").rename(folder / "elsewhere")
    (folder / "run.sqlite").symlink_to("elsewhere")
    with pytest.raises(StoreError, match="is not a regular file"):
        opener(folder)


@pytest.mark.parametrize("opener", OPENERS)
def test_a_file_that_is_no_database_is_named(opener: Callable[[Path], SqliteRunStore], folder: Path) -> None:
    (folder / "run.sqlite").write_bytes(b"nothing of the kind" * 300)
    with pytest.raises(CorruptStoreError, match=r"run\.sqlite is damaged"):
        opener(folder)


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("key", [None, b"", KEY[:-1], KEY + b"\0", bytes(32)])
def test_a_key_that_is_not_that_of_the_run_is_refused(
    opener: Callable[[Path], SqliteRunStore], key: bytes | None, folder: Path
) -> None:
    (folder / "key").unlink()
    if key is not None:
        (folder / "key").write_bytes(key)
    with pytest.raises(CorruptStoreError, match="key"):
        opener(folder)


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER quiet AFTER INSERT ON partial BEGIN DELETE FROM receipt; END",
        "CREATE VIEW other AS SELECT 1",
        "ALTER TABLE progress ADD COLUMN more TEXT",
        "DROP TABLE worker",
    ],
)
def test_a_file_with_other_tables_is_refused(
    opener: Callable[[Path], SqliteRunStore], statement: str, folder: Path
) -> None:
    change(folder, statement)
    with pytest.raises(CorruptStoreError, match="does not have the tables of a run"):
        opener(folder)


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE run SET run_id='other'", "the first row does not match the key"),
        ("UPDATE run SET epoch=epoch-1", "the first row does not match the key"),
        ("DELETE FROM run", "the first row does not match the key"),
        ("INSERT INTO run SELECT * FROM run", "the first row does not match the key"),
        ("UPDATE step SET manifest='{}'", "step 0: the manifest"),
        ("UPDATE step SET started_at='soon'", "step 0: the manifest"),
        ("DELETE FROM step", "step 0: a row of the step is missing"),
        ("DELETE FROM progress", "step 0: a row of the step is missing"),
        ("UPDATE step SET step=1", "a row of the step is missing"),
        ("UPDATE progress SET low=low+1", "step 0: the progress"),
        ("UPDATE progress SET bitmap=NULL", "step 0: the progress"),
        ("UPDATE progress SET partials=1", "step 0: the progress"),
        ("UPDATE partial SET data=x'00' WHERE ordinal=1", "step 0: partial 1 is damaged"),
        ("UPDATE partial SET data='text' WHERE ordinal=1", "step 0: partial 1 is damaged"),
        ("UPDATE partial SET step='x'", "step 0: partial 0 is missing"),
        ("DELETE FROM step WHERE ordinal=1", "step 0: a row of the step is missing"),
        ("UPDATE step SET manifest='{}' WHERE ordinal=1", "step 0: the manifest"),
        ("UPDATE letter SET data=x'00' WHERE entry=0", "step 0: the dead letter of entry 0 of chunk 1 is damaged"),
        ("UPDATE letter SET data=NULL WHERE entry=-1", "step 0: the dead letter of chunk 2 is damaged"),
        ("UPDATE letter SET entry=3 WHERE entry=0", "step 0: the dead letter of entry 3 of chunk 1 is damaged"),
        ("UPDATE letter SET redriven=1 WHERE entry=0", "step 0: expected 2 dead letters, got 1"),
        ("UPDATE letter SET redriven=0 WHERE entry=1", "step 0: expected 2 dead letters, got 3"),
        (
            "UPDATE letter SET redriven=1-redriven WHERE chunk=1",
            "step 0: the dead letter of entry 1 of chunk 1 is damaged",
        ),
        ("DELETE FROM letter WHERE entry=0", "step 0: expected 2 dead letters, got 1"),
        ("UPDATE progress SET letters=2", "step 0: the progress"),
        ("DELETE FROM partial WHERE ordinal=2", "step 0: partial 2 is missing"),
        (
            "UPDATE partial SET data=(SELECT data FROM partial WHERE ordinal=2) WHERE ordinal=1",
            "step 0: partial 1 is damaged",
        ),
        ("UPDATE receipt SET attempt=1 WHERE first=1", "step 0: the receipts of the batch at chunk 1"),
        ("UPDATE receipt SET first=7 WHERE first=1", "step 0: the receipts of the batch at chunk 7"),
        ("UPDATE receipt SET data='text' WHERE first=1", "step 0: the receipts of the batch at chunk 1"),
        ("UPDATE worker SET node_id='other'", "step 0: the receipts of the batch at chunk 0"),
        ("DELETE FROM worker", "step 0: the receipts of the batch at chunk 0"),
        ("DELETE FROM receipt WHERE first=1", "step 0: expected 2 rows of receipts, got 1"),
    ],
)
def test_a_changed_missing_or_exchanged_row_is_named(statement: str, what: str, folder: Path) -> None:
    change(folder, statement)
    for opener in OPENERS:
        with pytest.raises(CorruptStoreError, match=what) as raised, closing(opener(folder)) as store:
            everything(store)
        assert RUN in str(raised.value)
        assert "run.sqlite" in str(raised.value)


def test_a_flip_of_a_byte_of_the_file_is_found_or_changes_nothing(folder: Path) -> None:
    with closing(SqliteRunStore.read(folder)) as reader:
        good = everything(reader)
    data, found = (folder / "run.sqlite").read_bytes(), 0
    chance = random.Random(20261120)
    places = [index for index, byte in enumerate(data) if byte]
    for index in chance.sample(places, 300):
        bad = bytes([data[index] ^ chance.randrange(1, 256)])
        (folder / "run.sqlite").write_bytes(data[:index] + bad + data[index + 1 :])
        try:
            with closing(SqliteRunStore.read(folder)) as reader:
                assert everything(reader) == good
        except StoreError:
            found += 1
    assert found > 100


def test_pages_that_were_exchanged_are_found_before_a_master_goes_on(folder: Path) -> None:
    data = (folder / "run.sqlite").read_bytes()
    pages = [data[start : start + 4096] for start in range(0, len(data), 4096)]
    pages[3], pages[4] = pages[4], pages[3]
    (folder / "run.sqlite").write_bytes(b"".join(pages))
    with pytest.raises(CorruptStoreError, match=r"run\.sqlite"):
        SqliteRunStore.open(folder)


def test_a_file_that_was_cut_short_is_found(folder: Path) -> None:
    data = (folder / "run.sqlite").read_bytes()
    for pages in range(1, len(data) // 4096):
        (folder / "run.sqlite").write_bytes(data[: pages * 4096])
        with pytest.raises(CorruptStoreError, match=r"run\.sqlite"):
            SqliteRunStore.open(folder)
