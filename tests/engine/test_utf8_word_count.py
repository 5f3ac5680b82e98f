"""Words of files counted as UTF-8 bytes: the same result as counting strings."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from cluster_driver import inline_and_once_on_ray

import elastic
from elastic.aggregators import Collect, Count
from elastic.stages.sources import FileSource, TextLines

TEXT = "one two\u00a0three \u3000 zw\u00f6lf\x1cvier\nein \U0001f600 wort\r\n\n  one\x00two one\ttwo\x0bone\n" * 40


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = tmp_path / "words.txt"
    path.write_bytes(TEXT.encode())
    return str(path)


@inline_and_once_on_ray(
    "options", [{}, {"on_error": "skip"}, {"retries": 1}, {"collect_interval": 1e-9}, {"shards": 3}]
)
def test_the_counts_are_those_of_texts(path: str, options: dict[str, Any], cluster: str) -> None:
    flow = elastic.read_text(path, chunk_bytes=300).words().aggregate(Count())
    result = flow.run(cluster=cluster, **options)
    assert dict(result.value.items()) == Counter(TEXT.split())
    assert result.chunks >= 10
    assert elastic.verify(result.run_id, flow, recompute=1.0).ok


def test_another_encoding_and_what_comes_before_words_make_no_difference(tmp_path: Path, path: str) -> None:
    latin = tmp_path / "latin.txt"
    latin.write_bytes("zw\u00f6lf\u00a0wort\x85zw\u00f6lf".encode("latin-1"))
    source = FileSource(str(latin), TextLines(encoding="latin-1"))
    counts = elastic.from_source(source).words().aggregate(Count()).run(cluster="inline").value
    assert counts == {"zw\u00f6lf": 2, "wort": 1}
    upper = elastic.read_text(path).map(str.upper).words().aggregate(Count()).run(cluster="inline").value
    assert upper == Counter(TEXT.upper().split())
    entries = ["a b", "b \udcff"]
    assert elastic.from_iterable(entries).words().aggregate(Count()).run(cluster="inline").value == Counter(
        " ".join(entries).split()
    )


def test_other_consumers_of_words_get_strings(path: str) -> None:
    assert elastic.read_text(path).words().aggregate(Collect()).run(cluster="inline").value == TEXT.split()
    lengths = elastic.read_text(path).words().map(len).aggregate(Count()).run(cluster="inline").value
    assert lengths == Counter(map(len, TEXT.split()))


def test_bytes_that_are_no_text_end_the_step(tmp_path: Path) -> None:
    path = tmp_path / "broken.txt"
    path.write_bytes(b"good\nb\xffd\n")
    with pytest.raises(elastic.ElasticError, match=r"broken\.txt.*not utf-8|utf-8"):
        elastic.read_text(str(path)).words().aggregate(Count()).run(cluster="inline")
