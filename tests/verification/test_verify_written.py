"""Verification of written files: each changed, missing and additional one is named."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import elastic

QUICK = {"cluster": "inline", "collect_interval": 1e-9, "target_call_seconds": 1e-9}


def flow(folder: Path) -> elastic.Flow:
    return elastic.from_range(300, chunk_size=10).map(str).write_text(folder / "out")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder that a flow has written."""
    written = flow(tmp_path).run(**QUICK).value
    assert len(written.files) > 1
    return tmp_path / "out"


def first(out: Path) -> Path:
    return min(out.glob("part-*"))


def flip(out: Path) -> None:
    data = bytearray(first(out).read_bytes())
    data[0] ^= 1
    first(out).write_bytes(data)


def edit_manifest(out: Path) -> None:
    path = out / "_manifest.json"
    path.write_text(re.sub(r'"records": \d+, "bytes"', '"records": 7, "bytes"', path.read_text(), count=1))


def drop_entry(out: Path) -> None:
    path = out / "_manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["files"][0]
    path.write_text(json.dumps(manifest))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "changed": (flip, r"chunks? 0.*: the file part-0000000000-\w+\.txt in .*out was changed since it was written"),
    "longer": (
        lambda out: first(out).write_bytes(first(out).read_bytes() + b"x\n"),
        r"was changed since it was written",
    ),
    "missing": (lambda out: first(out).unlink(), r"chunks? 0.*: the file part-0000000000-\w+\.txt is missing in"),
    "additional": (
        lambda out: (out / "part-9.txt").touch(),
        r"the file part-9\.txt in .*out is not one that _man",
    ),
    "additional below": (
        lambda out: ((out / "k=1").mkdir(), (out / "k=1" / "x").touch()),
        r"the file k=1/x in .*out is not one",
    ),
    "manifest edited": (edit_manifest, r"_manifest\.json has other facts about the file part-"),
    "manifest shorter": (drop_entry, r"_manifest\.json does not name the file part-0000000000"),
    "manifest gone": (lambda out: (out / "_manifest.json").unlink(), r"_manifest\.json in .*out is missing or damaged"),
    "success gone": (lambda out: (out / "_SUCCESS").unlink(), r"_SUCCESS in .*out is missing"),
}


def test_an_undamaged_folder_verifies(out: Path) -> None:
    verification = elastic.verify("last", flow(out.parent), recompute=1.0)
    assert verification.ok, verification
    assert verification.steps[0].notes == ()


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_named(what: str, out: Path) -> None:
    damage, said = DAMAGE[what]
    damage(out)
    verification = elastic.verify("last")
    assert not verification.ok
    assert re.search(said, str(verification)), str(verification)


def test_files_that_another_run_replaced_are_told(out: Path) -> None:
    [before] = [each.run_id for each in elastic.runs()]
    elastic.from_range(3).map(str).write_text(out, if_exists="overwrite").run(cluster="inline")
    assert "another run has replaced the files in" in str(elastic.verify(before))
    assert elastic.verify("last").ok


def test_runs_that_appended_verify_one_by_one(out: Path) -> None:
    oldest = first(out)
    elastic.from_range(3).map(str).write_text(out, if_exists="append").run(cluster="inline")
    assert all(elastic.verify(each.run_id).ok for each in elastic.runs())
    oldest.unlink()
    assert [elastic.verify(each.run_id).ok for each in elastic.runs()] == [True, False]


def test_a_folder_behind_a_url_that_needs_a_login_is_noted() -> None:
    fsspec = pytest.importorskip("fsspec", reason="the extra `files` is not installed")
    fs = fsspec.filesystem("memory")
    written = elastic.from_range(30).map(str).write_text("memory://verified")
    run_id = written.run(cluster="inline").run_id
    assert elastic.verify(run_id).ok
    [path] = [path for path in fs.find("/verified") if "part-" in path]
    fs.pipe_file(path, b"0\n")
    assert "was changed" in str(elastic.verify(run_id))
    assert "was changed" in str(elastic.verify(run_id, written))
    fs.store.clear()


def test_a_result_beside_a_write_is_recomputed(tmp_path: Path) -> None:
    both = flow(tmp_path).aggregate("size")
    both.run(**QUICK)
    verification = elastic.verify("last", both, recompute=1.0)
    assert verification.ok
    assert verification.steps[0].chunks_rerun == 30
