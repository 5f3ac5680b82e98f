"""Where a flow begins: a mistake in an argument is named at once, one in the data when the flow runs."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import elastic
from elastic.core.errors import SourceError, UsageError

BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "no paths": (lambda: elastic.read_text([]), "empty list"),
    "paths of numbers": (lambda: elastic.read_text(5), "paths must be a path"),
    "an empty path": (lambda: elastic.read_text([""]), "is not a path"),
    "errors": (lambda: elastic.read_text("a", errors="ignore"), "errors must be one of"),
    "ship": (lambda: elastic.read_text("a", ship="plane"), "ship must be one of"),
    "chunk_bytes": (lambda: elastic.read_text("a", chunk_bytes=0), "chunk_bytes must be a positive integer"),
    "near an argument": (lambda: elastic.read_text("a", chunk_byte=1), "did you mean 'chunk_bytes'"),
    "no argument": (lambda: elastic.read_jsonl("a", zzz=1), "'zzz' for files; there are encoding, errors, chunk_bytes"),
    "csv's argument": (lambda: elastic.read_csv("a", shipp="auto"), "did you mean 'ship'"),
    "csv's fields": (lambda: elastic.read_csv("a", fields="name"), "fields='name' must be a list of names"),
    "csv's number of fields": (lambda: elastic.read_csv("a", fields=3), "fields=3 must be a list of names"),
    "csv's delimiter": (lambda: elastic.read_csv("a", delimiter=",,"), "delimiter"),
    "csv's quotechar": (lambda: elastic.read_csv("a", quotechar=","), "quotechar|delimiter"),
    "range of a text": (lambda: elastic.from_range("10"), "stop must be an integer"),
    "range without a step": (lambda: elastic.from_range(1, 5, 0), "step must not be 0"),
    "range's chunk_size": (lambda: elastic.from_range(5, chunk_size=-1), "chunk_size must be a positive integer"),
    "a number": (lambda: elastic.from_iterable(5), "5 cannot be iterated"),
    "a text": (lambda: elastic.from_iterable("a.txt"), "read a file with read_text"),
    "a mapping": (lambda: elastic.from_iterable({}), "a mapping cannot be a source"),
    "chunk_size": (lambda: elastic.from_iterable([], chunk_size=1.5), "chunk_size"),
    "window": (lambda: elastic.from_iterable([], window=5), "window must be a function"),
    "iterables": (lambda: elastic.from_iterables([[1], 2]), "iterable 1: 2 cannot be iterated"),
    "iterables of a text": (lambda: elastic.from_iterables("abc"), "must be a list of iterables"),
    "a URL": (lambda: elastic.read_sql("SELECT 1", "no url"), "no url|URL"),
    "parameters": (lambda: elastic.read_sql("SELECT 1", "sqlite://", chunk_size=0), "chunk_size"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_argument_is_named_in_one_sentence(what: str) -> None:
    action, text = BAD[what]
    with pytest.raises(UsageError, match=text) as caught:
        action()
    assert "\n" not in str(caught.value)


class Broken(elastic.Source):
    """A user's source of which one method fails or returns what it should not."""

    def __init__(self, **answers: Callable[[], Any]) -> None:
        self.answers = answers

    def cut(self, position: Any = None) -> Any:
        return self._answer("cut", lambda: iter(()))

    def reader(self) -> Any:
        return self._answer("reader", lambda: elastic.from_iterable([])._source.reader())

    def describe(self) -> Any:
        return self._answer("describe", dict)

    def _answer(self, method: str, otherwise: Callable[[], Any]) -> Any:
        return self.answers.get(method, otherwise)()


def fail() -> Any:
    raise ZeroDivisionError("own fault")


def failing_late() -> Any:
    yield from ()
    fail()


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (Broken(cut=fail), "the source failed .ZeroDivisionError: own fault."),
        (Broken(cut=failing_late), "the source failed .ZeroDivisionError: own fault."),
        (Broken(cut=lambda: iter([5])), "the source yielded 5; its cut must yield"),
        (Broken(reader=fail), "the source failed .ZeroDivisionError: own fault."),
        (Broken(reader=lambda: 5), "Broken.reader returned 5; it must return a Reader"),
        (Broken(describe=fail), "the source failed .ZeroDivisionError: own fault."),
    ],
    ids=["cut", "cut late", "no piece", "reader", "no reader", "describe"],
)
def test_a_source_of_the_user_that_fails_is_told_in_a_sentence(source: elastic.Source, text: str) -> None:
    with pytest.raises(SourceError, match=text):
        elastic.from_source(source).run(cluster="inline")


def test_a_broken_source_that_is_whole_is_read() -> None:
    assert elastic.from_source(Broken()).run(cluster="inline").chunks == 0


def test_a_generator_that_fails_is_told_with_how_far_it_came() -> None:
    def entries() -> Any:
        yield from range(5)
        fail()

    with pytest.raises(SourceError, match=r"failed after 5 entries .ZeroDivisionError: own fault."):
        elastic.from_iterable(entries(), chunk_size=2).run(cluster="inline")


def test_an_entry_that_cannot_be_sent_is_told_with_its_chunk() -> None:
    with pytest.raises(elastic.ElasticError, match=r"chunk 1 of the source cannot be sent: builtins\.object"):
        elastic.from_iterable([1, 2, object()], chunk_size=2).run(cluster="inline")


def test_a_file_whose_name_is_no_utf_8_is_read_and_named(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("one\ntwo\n")
    lines = elastic.read_text(tmp_path)
    assert lines.aggregate("size").run(cluster="inline").value == 2
    with pytest.raises(elastic.ElasticError, match=r"caf\\udce9\.txt"):
        lines.map(int).run(cluster="inline")
