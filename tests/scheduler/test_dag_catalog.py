"""The catalog of DAG files: the contents of `elastic dags list`, and the loads that it needs."""

import os
from pathlib import Path

import pytest

from elastic.db.stores.dags import import_errors
from elastic.scheduler.catalog.dag_catalog import DagCatalog, find, scan, store
from elastic.scheduler.deployment import Deployment


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of DAG files; each load of a file adds a line to `loaded`."""
    place = tmp_path / "dags"
    place.mkdir()
    monkeypatch.setenv("ELASTIC__CORE__DAGS_FOLDER", str(place))
    return place


def define(folder: Path, name: str, *dag_ids: str) -> None:
    note = f"with open({str(folder.parent / 'loaded')!r}, 'a') as file: file.write('{name}\\n')"
    lines = ["from elastic import DAG", note, *(f"d{at} = DAG({one!r})" for at, one in enumerate(dag_ids))]
    (folder / f"{name}.py").write_text("\n".join(lines))


def found() -> DagCatalog:
    return scan(Deployment.of())


def ids(inventory: DagCatalog) -> list[str]:
    return [row.dag_id for row in inventory.dags]


def loaded(folder: Path) -> list[str]:
    note = folder.parent / "loaded"
    names = note.read_text().split() if note.exists() else []
    note.unlink(missing_ok=True)
    return names


def test_only_files_that_are_new_or_changed_are_run(folder: Path) -> None:
    define(folder, "one", "b", "a")
    define(folder, "two", "c")
    assert ids(found()) == ["a", "b", "c"]
    assert loaded(folder) == ["one", "two"]
    assert ids(found()) == ["a", "b", "c"]
    assert loaded(folder) == []
    define(folder, "two", "c", "d")
    assert ids(found()) == ["a", "b", "c", "d"]
    assert loaded(folder) == ["two"]


def test_a_file_with_helper_modules_is_run_each_time_because_they_may_change(folder: Path) -> None:
    define(folder, "one", "a")
    path = folder / "one.py"
    path.write_text(
        path.read_text()
        + "\nfrom helper import TAGS\nx = DAG('b', owner=OWNER, schedule=None)".replace("OWNER", "TAGS")
    )
    for owner in ("one", "two"):
        (folder / "helper.py").write_text(f"TAGS = {owner!r}\n")
        assert {row.dag_id: row.owner for row in found().dags} == {"a": "elastic", "b": owner}
        assert loaded(folder) == ["one"]


def test_warnings_are_there_each_time_and_fit_the_executor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "from elastic import DAG\nfrom elastic.operators import EmptyOperator\nwith DAG('a'):\n    "
    (folder / "one.py").write_text(f"{text}EmptyOperator(task_id='t', queue='gpu', resources={{'cpus': 2}})")
    for executor, heeded in (("local", ""), ("local", ""), ("ray", "resources"), ("inline", "")):
        monkeypatch.setenv("ELASTIC__CORE__EXECUTOR", executor)
        (warnings,) = found().warnings.values()
        names = [name for name in ("queue", "resources") if name != heeded]
        assert [line.split(" of task 't' has no effect: ")[0] for line in warnings] == names


def test_a_look_at_files_that_did_not_change_writes_nothing(folder: Path, home: Path) -> None:
    define(folder, "one", "a")
    (folder / "broken.py").write_text("import dagger_that_is_not_there")
    assert list(found().failures) == [str(folder / "broken.py")]
    before = (home / "elastic.db").read_bytes()
    assert ids(found()) == ["a"]
    assert (home / "elastic.db").read_bytes() == before


def test_removed_dags_are_not_listed_and_restored_ones_are(folder: Path) -> None:
    define(folder, "one", "a", "b")
    assert ids(found()) == ["a", "b"]
    define(folder, "one", "b")
    assert ids(found()) == ["b"]
    (folder / "one.py").unlink()
    assert ids(found()) == []
    define(folder, "two", "a", "b")
    assert ids(found()) == ["a", "b"]


def test_a_file_that_cannot_be_loaded_is_reported_until_it_is_repaired(folder: Path) -> None:
    define(folder, "one", "a")
    (folder / "broken.py").write_text("import dagger_that_is_not_there")
    inventory = found()
    assert ids(inventory) == ["a"]
    assert "dagger_that_is_not_there" in str(inventory.failures[str(folder / "broken.py")])
    assert list(import_errors(Deployment.of().database)) == [str(folder / "broken.py")]
    define(folder, "broken", "c")
    assert (ids(found()), found().failures) == (["a", "c"], {})
    assert import_errors(Deployment.of().database) == {}


def test_of_two_files_with_one_id_the_one_that_is_known_counts(folder: Path) -> None:
    define(folder, "one", "a")
    found()
    define(folder, "two", "a", "b")
    inventory = found()
    assert ids(inventory) == ["a", "b"]
    assert {row.dag_id: Path(row.fileloc).stem for row in inventory.dags} == {"a": "one", "b": "two"}
    assert "already defined in" in str(inventory.failures[str(folder / "two.py")])


def test_a_dag_that_was_used_alone_does_not_hide_the_others_of_its_file(folder: Path) -> None:
    define(folder, "one", "a", "b")
    deployment = Deployment.of()
    store(deployment, find(deployment, "a"))
    assert ids(found()) == ["a", "b"]
    define(folder, "one", "a", "b", "c")
    store(deployment, find(deployment, "a"))
    assert ids(found()) == ["a", "b", "c"]
    loaded(folder)
    store(deployment, find(deployment, "b"))
    assert loaded(folder) == ["one"]
    assert (ids(found()), loaded(folder)) == (["a", "b", "c"], [])


def test_a_file_whose_name_is_no_text_ends_nothing(folder: Path) -> None:
    define(folder, "one", "a")
    (folder / os.fsdecode(b"caf\xe9.py")).write_text("from elastic import DAG\nd = DAG('odd')")
    (folder / os.fsdecode(b"bad\xe9.py")).write_text(
        "from elastic import DAG\nraise ValueError('x' + chr(0) + chr(0xdce9))"
    )
    for _ in range(2):
        inventory = found()
        assert ids(inventory) == ["a", "odd"]
        assert len(inventory.failures) == 1
    (error,) = import_errors(Deployment.of().database).values()
    assert "ValueError: x\\x00\\udce9" in error
