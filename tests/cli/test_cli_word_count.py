"""`elastic example word-count`: the right table, and one sentence for input that cannot be counted."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from cli_samples import elastic, nothing_begun, refused
from cluster_driver import inline_and_once_on_ray

KEYS = [
    "status", "entries", "chunks", "words_total", "words_distinct", "top", "receipts", "seconds", "run_id",
]  # fmt: skip
STAGES = ["distributed", "sent", "received", "processed", "returned", "aggregated"]

TEXT = "to be  or not\tto be\nthat is \u00e9t\u00e9\n\n  the question \U0001f600 to\n"


def counted(*arguments: str) -> dict[str, Any]:
    said = elastic("example", "word-count", *arguments, "-o", "json")
    assert (said.code, said.err) == (0, "")
    found: dict[str, Any] = json.loads(said.out)
    return found


def words_of(text: str, separator: str | None) -> Counter[str]:
    return Counter(word for line in text.removesuffix("\n").split("\n") for word in line.split(separator))


@inline_and_once_on_ray("separator", [" ", "be", "\t", None])
def test_words_are_those_that_a_counter_counts(separator: str | None, tmp_path: Path, cluster: str) -> None:
    path = tmp_path / "text.txt"
    path.write_text(TEXT * 100, encoding="utf-8")
    given = [] if separator is None else ["--separator", separator]
    found = counted(str(path), "--cluster", cluster, "--top", "1000", *given)
    expected = words_of(TEXT * 100, separator)
    assert list(found) == KEYS
    assert dict(found["top"]) == expected
    assert [count for _, count in found["top"]] == sorted(expected.values(), reverse=True)
    assert (found["status"], found["entries"]) == ("complete", 400)
    assert (found["words_total"], found["words_distinct"]) == (expected.total(), len(expected))
    assert found["receipts"] == dict.fromkeys(STAGES, found["chunks"])
    assert found["seconds"] > 0


def test_both_engines_print_the_same(tmp_path: Path, cluster: str) -> None:
    path = tmp_path / "text.txt"
    path.write_text((TEXT + "b\u00a0c\x1cd\u2003e\x85f b\n") * 50, encoding="utf-8")
    told = []
    for engine in ("plain", "frames"):
        found = counted(str(path), "--cluster", cluster, "--top", "5", "--engine", engine)
        told.append({name: found[name] for name in KEYS if name not in ("seconds", "run_id")})
    assert told[0] == told[1]


@pytest.mark.parametrize("top", [0, 3])
def test_a_text_without_words_has_none_in_frames(tmp_path: Path, top: int) -> None:
    path = tmp_path / "empty.txt"
    path.write_text(" \n\t\n")
    found = counted(str(path), "--cluster", "inline", "--top", str(top), "--engine", "frames")
    assert (found["words_total"], found["words_distinct"], found["top"], found["entries"]) == (0, 0, [], 2)


def test_a_separator_is_not_for_frames(tmp_path: Path) -> None:
    said = elastic("example", "word-count", str(tmp_path), "--engine", "frames", "--separator", ",")
    refused(said, 2, "--separator and --engine frames do not go together")


def test_files_folders_and_globs_are_counted_together(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "c.md"):
        (tmp_path / name).write_text("word\n")
    assert counted(str(tmp_path), "--cluster", "inline")["words_total"] == 3
    assert counted(str(tmp_path / "*.txt"), str(tmp_path / "c.md"), "--cluster", "inline")["words_total"] == 3


def test_without_a_path_it_counts_what_python_brings_along() -> None:
    found = counted("--cluster", "inline", "--top", "3")
    assert found["status"] == "complete"
    assert found["words_total"] > 100_000
    assert len(found["top"]) == 3


def test_the_table_shows_the_top_and_the_account(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("b [a] b [a] b [red]x[/]\n" * 1_000)
    said = elastic("example", "word-count", str(path), "--cluster", "inline", "--top", "2")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert [line.split() for line in lines if line.startswith(("b ", "[a]"))] == [["b", "3,000"], ["[a]", "2,000"]]
    assert "6,000 words, 3 of them distinct" in lines
    assert lines[-1].startswith("complete: 1,000 entries in 1 chunk aggregated exactly once, 0 errors")
    assert "\x1b" not in said.out


def test_no_top_no_table(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("a b\n")
    assert counted(str(path), "--cluster", "inline", "--top", "0")["top"] == []
    assert elastic("example", "word-count", str(path), "--cluster", "inline", "--top", "0").out.startswith("2 words")


def test_an_empty_file_has_no_words(tmp_path: Path) -> None:
    path = tmp_path / "empty.txt"
    path.write_text("")
    found = counted(str(path), "--cluster", "inline")
    assert (found["status"], found["entries"], found["words_total"], found["top"]) == ("complete", 0, 0, [])


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["nowhere.txt"], 2, "nowhere.txt' does not exist; check the path"),
        (["nowhere/*.txt"], 2, "nowhere/*.txt' matches no file"),
        (["."], 2, "is a folder without files"),
        (["--separator", ""], 2, "--separator is empty; leave it out"),
        (["--errors", "ignore"], 2, "errors must be one of 'strict', 'replace', not 'ignore'"),
        (["--cluster", "nowhere"], 2, "cluster 'nowhere' is not inline, local, auto or host:port"),
        (["--cluster", ""], 2, "cluster='' must be a non-empty string"),
        (["--cluster", "127.0.0.1:99999"], 2, "cluster '127.0.0.1:99999' is not"),
        (["nosuch://place/x"], 2, "nosuch"),
        (["a\0b"], 2, "is not a path"),
    ],
    ids=lambda value: " ".join(value).replace("\0", "NUL") if isinstance(value, list) else "",
)
def test_input_that_cannot_be_counted_is_reported_in_one_sentence(
    arguments: list[str], code: int, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = [] if "--cluster" in arguments else ["--cluster", "inline"]
    refused(elastic("example", "word-count", *arguments, *options), code, text)
    nothing_begun()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "secret.txt"
    path.write_text("word\n")
    path.chmod(0)
    refused(elastic("example", "word-count", str(path), "--cluster", "inline"), 1, f"{str(path)!r} cannot be read")
    nothing_begun()


def test_a_path_that_the_system_refuses_is_named(tmp_path: Path) -> None:
    loop = tmp_path / "loop.txt"
    loop.symlink_to(loop)
    refused(elastic("example", "word-count", str(loop), "--cluster", "inline"), 1, f"{str(loop)!r} cannot be read")
    nothing_begun()


def test_bytes_that_are_no_text_are_named_by_file_and_byte(tmp_path: Path) -> None:
    path = tmp_path / "binary.txt"
    path.write_bytes(b"good\nb\xffd\n")
    said = elastic("example", "word-count", str(path), "--cluster", "inline")
    refused(said, 1, f"line 2 of {str(path)!r} (byte 5)")
    assert counted(str(path), "--cluster", "inline", "--errors", "replace")["words_total"] == 2


@pytest.mark.parametrize(
    "arguments",
    [["--top", "-1"], ["--top", "many"], ["-o", "xml"], ["--unknown"], ["--separator"]],
    ids=" ".join,
)
def test_a_command_that_is_written_wrong_ends_with_2(arguments: list[str]) -> None:
    said = elastic("example", "word-count", *arguments)
    assert (said.code, said.out) == (2, "")
    assert arguments[0] in said.err
    assert "Traceback" not in said.err
    nothing_begun()


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "text.txt"
    path.write_text("a\n")
    monkeypatch.setenv("ELASTIC_HOME", str(path))
    refused(elastic("example", "word-count", str(path), "--cluster", "inline"), 1, str(path))
