"""Folders that a flow writes to, in the states that other programs, stopped runs and later runs leave."""

import json
from pathlib import Path
from typing import Any

import pytest

import elastic
from elastic.core.errors import ElasticError, StoreError, UsageError
from elastic.persistence.written_files.local_folder import LocalFolder
from elastic.persistence.written_files.remote_folder import RemoteFolder


def write(first: int, stop: int, out: Path, mode: str = "error") -> elastic.Result:
    return elastic.from_range(first, stop, chunk_size=10).map(str).write_text(out, if_exists=mode).run(cluster="inline")


def numbers(out: Path) -> list[int]:
    """Return the numbers in the files that the manifest names."""
    manifest = json.loads((out / "_manifest.json").read_text())
    lines = [line for each in manifest["files"] for line in (out / each["file"]).read_text().split()]
    assert manifest["records"] == len(lines)
    return sorted(map(int, lines))


def marker(out: Path, **fields: Any) -> None:
    out.mkdir(exist_ok=True)
    content = {"run_id": "other", "step": 0, "epoch": 1, "is_given_up": True, **fields}
    (out / "_unfinished.json").write_text(json.dumps(content))


@pytest.mark.parametrize("form", ["{}/mine", "../../mine", "..", ".", "", "a/../../../mine", "a\0b", "\ud800"])
def test_a_marker_that_names_a_path_removes_nothing(form: str, tmp_path: Path) -> None:
    for name in ("mine-2025", "mine-0", "out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "photo").touch()
    (tmp_path / "out/photo").unlink()
    marker(tmp_path / "out", run_id=form.format(tmp_path), step=2025)
    with pytest.raises(UsageError, match=r"damaged _unfinished\.json, and its run is unknown"):
        write(0, 3, tmp_path / "out")
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("photo")} == {"mine-2025/photo", "mine-0/photo"}


@pytest.mark.parametrize(
    "fields", [{"step": -1}, {"epoch": -1}, {"step": True}, {"replaces": ["../x"]}, {"replaces": 1}]
)
def test_a_marker_with_impossible_fields_is_damaged(fields: dict[str, Any], tmp_path: Path) -> None:
    marker(tmp_path / "out", **fields)
    with pytest.raises(UsageError, match=r"damaged _unfinished\.json"):
        write(0, 3, tmp_path / "out")


BAD_ENTRIES = [
    {"file": "{}/mine.txt"}, {"file": "../mine.txt"}, {"file": "a/../../mine.txt"}, {"file": "_manifest.json"},
    {"file": "_staging/x"}, {"file": ""}, {"file": 7}, {"file": "a\0"}, {"file": "\ud800"}, {}, 1, None, [],
    {"file": "a.txt", "records": "3"},
]  # fmt: skip


@pytest.mark.parametrize("mode", ["overwrite", "append"])
@pytest.mark.parametrize("entry", BAD_ENTRIES)
def test_a_manifest_that_names_other_files_removes_nothing(entry: Any, mode: str, tmp_path: Path) -> None:
    out, mine = tmp_path / "out", tmp_path / "mine.txt"
    mine.write_text("mine")
    write(0, 3, out)
    manifest = json.loads((out / "_manifest.json").read_text())
    if isinstance(entry, dict) and isinstance(entry.get("file"), str):
        entry = {**entry, "file": entry["file"].format(tmp_path)}
    manifest["files"].append(entry)
    (out / "_manifest.json").write_text(json.dumps(manifest))
    before = {path: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(UsageError, match=r"damaged _manifest\.json"):
        write(3, 6, out, mode)
    assert mine.read_text() == "mine"
    assert before == {path: path.read_bytes() for path in out.iterdir()}


def test_files_without_a_number_of_records_are_not_added_to(tmp_path: Path) -> None:
    write(0, 3, tmp_path)
    manifest = json.loads((tmp_path / "_manifest.json").read_text())
    del manifest["files"][0]["records"]
    (tmp_path / "_manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match="without numbers of records"):
        write(3, 6, tmp_path, "append")
    write(3, 6, tmp_path, "overwrite")
    assert numbers(tmp_path) == [3, 4, 5]


def test_a_manifest_that_is_damaged_while_a_run_adds_files_is_kept(tmp_path: Path) -> None:
    write(0, 3, tmp_path)
    manifest = tmp_path / "_manifest.json"
    whole = manifest.read_text()

    def damage(number: int) -> str:
        manifest.write_text("{")
        return str(number)

    flow = elastic.from_range(3, 6).map(damage).write_text(tmp_path, if_exists="append")
    with pytest.raises(ElasticError, match=r"damaged _manifest\.json; restore it, .* `elastic resume"):
        flow.run(cluster="inline")
    assert manifest.read_text() == "{"
    manifest.write_text(whole)
    elastic.resume("last", flow, cluster="inline")
    assert numbers(tmp_path) == list(range(6))


@pytest.mark.parametrize("name", ["/{}/mine", "../mine", "link/mine", "_staging/mine", "", "."])
def test_a_folder_removes_nothing_outside_of_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    (tmp_path / "out/_staging").mkdir(parents=True)
    (tmp_path / "out/_staging/mine").touch()
    (tmp_path / "out/link").symlink_to(tmp_path)
    with pytest.raises(StoreError, match="was not removed"):
        LocalFolder(tmp_path / "out", "run-0", {}).remove([name.format(tmp_path)])
    assert len([path for path in tmp_path.rglob("mine") if path.is_file()]) >= 2


def test_a_folder_behind_a_url_removes_nothing_outside_of_it() -> None:
    fs = pytest.importorskip("fsspec", reason="the extra `files` is not installed").filesystem("memory")
    fs.pipe_file("/claims/mine", b"1")
    for name in ("../mine", "/claims/mine", ""):
        with pytest.raises(StoreError, match="was not removed"):
            RemoteFolder("memory://claims/out", {}, "0" * 8, {}).remove([name])
    assert fs.exists("/claims/mine")
    fs.rm("/claims", recursive=True)
