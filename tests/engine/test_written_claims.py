"""Folders that a flow writes to, in the states that other programs, stopped runs and later runs leave."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

import elastic
from elastic.core.contracts.record_sink import Publication, SinkOwner
from elastic.core.errors import ElasticError, StoreError, UsageError
from elastic.core.model.step import StepState
from elastic.core.model.written import WrittenFile
from elastic.persistence.written_files.file_sink import FileSink, audit_files
from elastic.persistence.written_files.folder_publication import FolderPublication, identity_of, tag_of
from elastic.persistence.written_files.local_folder import LocalFolder
from elastic.persistence.written_files.remote_folder import RemoteFolder
from elastic.persistence.written_files.text_formats import JsonLinesFormat, LinesFormat


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
        LocalFolder(tmp_path / "out", "run-0", "0" * 8, {}).remove([name.format(tmp_path)])
    assert len([path for path in tmp_path.rglob("mine") if path.is_file()]) >= 2


def test_a_folder_behind_a_url_removes_nothing_outside_of_it() -> None:
    fs = pytest.importorskip("fsspec", reason="the extra `files` is not installed").filesystem("memory")
    fs.pipe_file("/claims/mine", b"1")
    for name in ("../mine", "/claims/mine", ""):
        with pytest.raises(StoreError, match="was not removed"):
            RemoteFolder("memory://claims/out", {}, "0" * 8, {}).remove([name])
    assert fs.exists("/claims/mine")
    fs.rm("/claims", recursive=True)


class StoppedFolder(LocalFolder):
    """Folder in which Ctrl-C arrives just before one operation on a file."""

    at: tuple[str, str]

    def put(self, name: str, data: bytes) -> None:
        self._stop("put", name)
        super().put(name, data)

    def remove(self, names: Collection[str]) -> None:
        for name in sorted(names):
            self._stop("remove", name)
            super().remove([name])

    def reveal(self, names: Collection[str]) -> None:
        for name in sorted(names, reverse=True):
            super().reveal([name])
            self._stop("reveal", name)

    def _stop(self, verb: str, name: str) -> None:
        if verb == self.at[0] and name.startswith(self.at[1]):
            self.at = ("", "")  # it comes once
            raise KeyboardInterrupt


def stop_publication(out: Path, owner: SinkOwner, mode: str, at: tuple[str, str], *, keep: bool = True) -> None:
    """Write two files, begin to publish them, press Ctrl-C, and release the folder."""
    publication = FileSink(out, LinesFormat(), if_exists=mode).publication(owner)
    assert isinstance(publication, FolderPublication)
    publication.prepare([])
    publication.begin([])
    parts = attempt(publication, "8") + attempt(publication, "9")
    folder = StoppedFolder(out, f"{owner.run_id}-{owner.step}", tag_of(owner), identity_of(owner))
    folder.at, folder._made = at, publication._folder._made  # type: ignore[attr-defined]
    publication._folder = folder
    with pytest.raises(KeyboardInterrupt):
        publication.publish(parts)
    publication.release(StepState.INTERRUPTED, parts, keep=keep)


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A local path, and a URL whose attempts have their names from the start."""
    if request.param == "local":
        yield str(tmp_path / "out")
        return
    fs = pytest.importorskip("fsspec", reason="the extra `files` is not installed").filesystem("memory")
    yield "memory://claims/out"
    fs.rm("/claims", recursive=True)


def opened(place: str, run_id: str, epoch: int = 1, mode: str = "append") -> Publication:
    return FileSink(place, LinesFormat(), if_exists=mode).publication(SinkOwner(run_id, 0, epoch))


def attempt(publication: Publication, *records: Any) -> list[WrittenFile]:
    buffer = publication.writer.buffer()
    buffer.add_many(records)
    buffer.chunks = [(0, 1)]
    output = publication.writer.output()
    return [*output.write(buffer), *output.close()]


def published(place: str, run_id: str, line: str, mode: str = "append") -> list[WrittenFile]:
    publication = opened(place, run_id, mode=mode)
    publication.prepare([])
    publication.begin([])
    parts = attempt(publication, line)
    publication.publish(parts)
    return parts


def check_whole(place: str, parts: list[WrittenFile]) -> None:
    """Check that a folder has these files and no others, and is marked as complete."""
    folder = opened(place, "reader")._folder  # type: ignore[attr-defined]
    assert folder.files() == {part.name for part in parts}
    assert folder.read("_unfinished.json") is None
    manifest = json.loads(folder.read("_manifest.json"))
    assert {entry["file"] for entry in manifest["files"]} == {part.name for part in parts}
    assert manifest["records"] == len(parts)
    assert folder.read("_SUCCESS") == b""


def test_a_redrive_that_is_stopped_after_its_commit_is_resumed(place: str) -> None:
    old = published(place, "a", "1")
    redrive = opened(place, "a", 2)
    redrive.prepare(old)
    redrive.begin(old)
    new = attempt(redrive, "2")
    redrive.release(StepState.INTERRUPTED, [*old, *new], keep=True)
    resumed = opened(place, "a", 3)
    resumed.prepare([*old, *new])
    resumed.begin([*old, *new])
    resumed.publish([*old, *new])
    check_whole(place, [*old, *new])


def test_a_redrive_that_fails_before_its_commit_leaves_the_folder_as_it_was(place: str) -> None:
    old = published(place, "a", "1")
    redrive = opened(place, "a", 2)
    redrive.prepare(old)
    redrive.begin(old)
    attempt(redrive, "2")
    redrive.release(StepState.ERROR, old, keep=True)
    check_whole(place, old)


def test_ctrl_c_before_a_redrive_publishes_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fragile(number: int) -> str:
        if number == 7:
            raise ValueError(number)
        return str(number)

    def interrupt(*given: Any) -> None:
        raise KeyboardInterrupt

    source, out = elastic.from_range(20, chunk_size=5), tmp_path / "out"
    failed = source.map(fragile).write_text(out).run(cluster="inline", on_error="dead-letter")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(FolderPublication, "publish", interrupt)
        elastic.redrive(failed.run_id, source.map(str).write_text(out), cluster="inline")
    elastic.resume(failed.run_id, source.map(str).write_text(out), cluster="inline", allow_code_change=True)
    assert numbers(out) == list(range(20))
    assert elastic.verify(failed.run_id).ok


def test_a_failed_redrive_of_a_folder_with_appended_files_keeps_all_files(place: str) -> None:
    first, second = published(place, "a", "1"), published(place, "b", "2")
    redrive = opened(place, "a", 2)
    redrive.prepare(first)
    redrive.begin(first)
    attempt(redrive, "3")
    redrive.release(StepState.ERROR, first, keep=True)
    check_whole(place, [*first, *second])
    third = published(place, "c", "4")
    check_whole(place, [*first, *second, *third])


def test_a_takeover_keeps_the_published_files_of_the_run_that_gave_up(place: str) -> None:
    first, second = published(place, "a", "1"), published(place, "b", "2")
    given_up = {"run_id": "a", "step": 0, "epoch": 2, "is_given_up": True}
    opened(place, "a")._folder.put("_unfinished.json", json.dumps(given_up).encode())  # type: ignore[attr-defined]
    third = published(place, "c", "3")
    check_whole(place, [*first, *second, *third])


def test_a_redrive_of_an_overwriting_run_keeps_what_was_added_later(place: str) -> None:
    published(place, "old", "0")
    first = published(place, "a", "1", "overwrite")
    second = published(place, "b", "2")
    redrive = opened(place, "a", 2, "overwrite")
    redrive.prepare(first)
    redrive.begin(first)
    new = attempt(redrive, "3")
    redrive.publish([*first, *new])
    check_whole(place, [*first, *second, *new])


@pytest.mark.parametrize("at", [("remove", "part-"), ("put", "_SUCCESS"), ("remove", "_unfinished.json")])
@pytest.mark.parametrize("keep", [True, False])
def test_ctrl_c_while_old_files_are_removed_leaves_none_of_them(
    at: tuple[str, str], keep: bool, tmp_path: Path
) -> None:
    write(0, 3, tmp_path / "out")
    stop_publication(tmp_path / "out", SinkOwner("a", 0, 1), "overwrite", at, keep=keep)
    assert numbers(tmp_path / "out") == [8, 9]
    names = {path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith("part-")}
    assert names == {"_manifest.json", "_SUCCESS"}
    assert len(list((tmp_path / "out").glob("part-*"))) == 2


BEFORE_THE_MANIFEST = [("remove", "_SUCCESS"), ("reveal", "part-"), ("put", "_manifest.json")]


@pytest.mark.parametrize("mode", ["append", "overwrite"])
@pytest.mark.parametrize("at", BEFORE_THE_MANIFEST)
@pytest.mark.parametrize("keep", [True, False])
def test_ctrl_c_before_the_manifest_is_replaced_leaves_the_content_whole(
    keep: bool, at: tuple[str, str], mode: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    write(0, 3, out)
    before = {path.name for path in out.iterdir()}
    stop_publication(out, SinkOwner("a", 0, 1), mode, at, keep=keep)
    assert {path.name for path in out.iterdir()} == before | ({"_staging", "_unfinished.json"} if keep else set())
    assert numbers(out) == [0, 1, 2]
    write(3, 6, out, "append")
    assert numbers(out) == list(range(6))
    assert {path.name for path in out.iterdir()} == before | {path.name for path in out.glob("part-*")}
    assert len(list(out.glob("part-*"))) == 2


@pytest.mark.parametrize("at", BEFORE_THE_MANIFEST)
def test_ctrl_c_in_a_new_folder_leaves_no_files_for_readers(at: tuple[str, str], tmp_path: Path) -> None:
    stop_publication(tmp_path / "gone", SinkOwner("a", 0, 1), "error", at, keep=False)
    assert not (tmp_path / "gone").exists()
    stop_publication(tmp_path / "kept", SinkOwner("a", 0, 1), "error", at)
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"_staging", "_unfinished.json"}
    write(0, 3, tmp_path / "kept")
    assert numbers(tmp_path / "kept") == [0, 1, 2]
    assert len(list((tmp_path / "kept").iterdir())) == 3


def test_a_stopped_publication_of_partitions_is_hidden_and_goes_on(tmp_path: Path) -> None:
    def sink(epoch: int) -> Publication:
        return FileSink(tmp_path, JsonLinesFormat(), partition_by="k").publication(SinkOwner("a", 0, epoch))

    first = sink(1)
    first.prepare([])
    first.begin([])
    parts = attempt(first, {"k": 1, "n": 2}, {"k": 2, "n": 3})
    first._folder.reveal([parts[0].name])  # type: ignore[attr-defined]
    assert (tmp_path / parts[0].name).exists()
    first.release(StepState.INTERRUPTED, parts, keep=True)
    assert {path.name for path in tmp_path.iterdir()} == {"_staging", "_unfinished.json"}
    resumed = sink(2)
    resumed.prepare(parts)
    resumed.begin(parts)
    resumed.publish(parts)
    assert list(audit_files({"url": str(tmp_path)}, SinkOwner("a", 0, 2), parts)) == []


def test_a_missing_part_is_told_before_the_folder_is_claimed(place: str) -> None:
    old = published(place, "a", "1")
    folder = opened(place, "a")._folder  # type: ignore[attr-defined]
    folder.remove([old[0].name])
    with pytest.raises(StoreError, match="is missing or changed"):
        opened(place, "a", 2).prepare(old)
    assert folder.read("_unfinished.json") is None


def test_a_run_without_records_keeps_the_columns_of_the_folder(tmp_path: Path) -> None:
    def add(rows: list[dict[str, int]]) -> None:
        elastic.from_iterable(rows).write_csv(tmp_path, if_exists="append").run(cluster="inline")

    add([{"a": 1}])
    add([])
    with pytest.raises(UsageError, match="have the columns a, and those of this run have b"):
        add([{"b": 1}])
    add([{"a": 2}])
    assert json.loads((tmp_path / "_manifest.json").read_text())["records"] == 2


def test_no_source_of_any_kind_is_overwritten(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")
    rows = elastic.from_iterable([{"a": 1}, {"a": 2}])
    rows.write_parquet(tmp_path / "rows").run(cluster="inline")
    write(0, 3, tmp_path / "text")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    table, text = elastic.read_parquet(tmp_path / "rows"), elastic.read_text(tmp_path / "text")
    readers = [table, text.limit(2), text.sample(0.5), elastic.from_iterable(["x"]) + text, (text + text).limit(2)]
    for flow in readers:
        for out in ("rows", "text"):
            if (flow is table) is (out == "rows"):
                with pytest.raises(UsageError, match="which overlap"):
                    flow.write_jsonl(tmp_path / out, if_exists="overwrite").run(cluster="inline")
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_a_run_that_ends_before_it_has_begun_leaves_no_claim(place: str) -> None:
    opened(place, "killed").prepare([])
    released = opened(place, "released")
    released.prepare([])
    released.release(StepState.INTERRUPTED, [], keep=True)
    check_whole(place, published(place, "later", "1"))


def test_the_folder_of_a_run_that_never_began_is_removed(tmp_path: Path) -> None:
    publication = opened(str(tmp_path / "new/out"), "released")
    publication.prepare([])
    publication.release(StepState.INTERRUPTED, [], keep=True)
    assert not (tmp_path / "new").exists()


def test_of_two_runs_that_prepare_one_folder_the_second_to_begin_is_refused(place: str) -> None:
    first, second = opened(place, "first"), opened(place, "second")
    first.prepare([])
    second.prepare([])
    first.begin([])
    with pytest.raises(UsageError, match="run first is writing to"):
        second.begin([])
    second.release(StepState.ERROR, [], keep=True)
    parts = attempt(first, "1")
    first.publish(parts)
    check_whole(place, parts)
