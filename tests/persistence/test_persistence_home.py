"""Lookup of runs by id, by the beginning of the id, or as the last one."""

import os
import stat
from pathlib import Path

import pytest
from persistence_samples import KEY

from elastic.core.errors import StoreError, UnknownRunError, UsageError
from elastic.persistence.durable_file import make_folder
from elastic.persistence.home import Home, new_run_id
from elastic.persistence.run_store.sqlite_store import SqliteRunStore


def home_with(folder: Path, *run_ids: str) -> Home:
    home = Home(folder)
    for run_id in run_ids:
        SqliteRunStore.create(home.run_folder(run_id), run_id, KEY).close()
    return home


def test_a_run_id_shows_its_time_in_utc_and_its_random_bits() -> None:
    assert new_run_id(1795216512.9, bytes.fromhex("2c1b7d3e")) == "20261120-231512-e6662c1b7d3e"
    assert new_run_id(-62135596800, bytes(4)) == "00010101-000000-000000000000"


def test_run_ids_sort_as_the_runs_began() -> None:
    times = [1795216512.0, 1795216512.00002, 1795216512.5, 1795216512.99999, 1795216513.0]
    ids = [new_run_id(now, bytes([255 - index] * 4)) for index, now in enumerate(times)]
    assert ids == sorted(ids)


@pytest.mark.parametrize("now", [float("nan"), float("inf"), 1e18, -1e18])
def test_a_time_that_is_none_is_refused(now: float) -> None:
    with pytest.raises(UsageError, match="invalid time"):
        new_run_id(now, bytes(4))


@pytest.mark.parametrize("random_bytes", [b"", bytes(3), bytes(5)])
def test_other_than_four_random_bytes_are_refused(random_bytes: bytes) -> None:
    with pytest.raises(UsageError, match="4 random bytes"):
        new_run_id(0.0, random_bytes)


def test_the_home_is_what_the_environment_says_else_a_folder_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Home.of({"ELASTIC_HOME": "/srv/elastic"}).folder == Path("/srv/elastic")
    assert Home.of({"ELASTIC_HOME": "~/mine"}).folder == tmp_path / "mine"
    assert Home.of({}).folder == Home.of({"ELASTIC_HOME": ""}).folder == tmp_path / ".elastic"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("named", ["mine", "./mine", "~/mine", "../here/mine"])
def test_the_home_stays_where_it_was_when_the_working_folder_changes(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "here"))
    monkeypatch.setenv("ELASTIC_HOME", named)
    monkeypatch.chdir(tmp_path / "here")
    before = Home.of(os.environ)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Home.of(os.environ) == before
    assert Path(os.environ["ELASTIC_HOME"]).is_absolute()


def test_a_home_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(UsageError, match="set ELASTIC_HOME"):
        Home.of({"ELASTIC_HOME": "~nobody-has-this-name/x"})


def test_runs_are_listed_newest_first_and_nothing_else_is(tmp_path: Path) -> None:
    ids = ["20261120-231512-aaaaaaaaaaaa", "20251231-000000-ffffffffffff", "20261121-000000-bbbbbbbbbbbb"]
    home = home_with(tmp_path / "home", *ids)
    (tmp_path / "home/runs/notes").mkdir()
    (tmp_path / "home/runs/20991231-000000-bbbbbbbbbbbb").mkdir()
    assert home.runs() == sorted(ids, reverse=True)


def test_a_home_without_runs_has_none_and_is_not_made(tmp_path: Path) -> None:
    assert Home(tmp_path / "home").runs() == []
    assert not (tmp_path / "home").exists()


def test_a_home_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(StoreError, match="home"):
        Home(tmp_path / "home").runs()


def test_a_run_is_found_by_id_by_unique_prefix_and_as_the_last(tmp_path: Path) -> None:
    home = home_with(tmp_path, "20261120-231512-aaaaaaaaaaaa", "20261120-231512-abbbbbbbbbbb")
    for name in ("20261120-231512-aaaaaaaaaaaa", "20261120-231512-aa"):
        assert home.find(name) == tmp_path / "runs/20261120-231512-aaaaaaaaaaaa"
    assert home.find("last").name == "20261120-231512-abbbbbbbbbbb"


def test_an_ambiguous_prefix_names_the_candidates(tmp_path: Path) -> None:
    home = home_with(tmp_path, *(f"20261120-23151{n}-aaaaaaaaaaaa" for n in range(7)))
    with pytest.raises(UsageError, match=r"20261120-231516-aaaaaaaaaaaa, .* and 2 more; give more"):
        home.find("2026")


@pytest.mark.parametrize("name", ["2099", "last", "*", "../..", "20261120-231512-aaaaaaaaaaaaa"])
def test_a_run_that_is_not_there_is_named_with_the_home(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnknownRunError) as raised:
        Home(tmp_path).find(name)
    assert repr(name) in str(raised.value)
    assert str(tmp_path) in str(raised.value)


def test_an_empty_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`last`"):
        Home(tmp_path).find("")


@pytest.mark.parametrize(
    "run_id", ["", "..", "../../etc", "20261120-231512-AAAAAAAAAAAA", "20261120-231512-aaaaaaaaaaaa\n"]
)
def test_an_invalid_run_id_has_no_folder(tmp_path: Path, run_id: str) -> None:
    with pytest.raises(UsageError, match="invalid run id"):
        Home(tmp_path).run_folder(run_id)


def test_folders_are_made_for_their_owner_only_at_every_level(tmp_path: Path) -> None:
    make_folder(tmp_path / "a/b/c")
    make_folder(tmp_path / "a/b/c")
    for name in ("a", "a/b", "a/b/c"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700


def test_a_folder_is_not_made_in_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(OSError, match="a"):
        make_folder(tmp_path / "a/b")
