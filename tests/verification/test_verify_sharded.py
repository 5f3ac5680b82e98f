"""Every change in the files of a sharded result is found, with the name of the file."""

import json
import random
from enum import Enum
from pathlib import Path

import pytest

import elastic
from elastic.aggregators import Count, SumByKey
from elastic.core.errors import CorruptStoreError, StepFailedError


class Colour(str, Enum):  # noqa: UP042 - `str` of one is its name
    RED = "r"
    BLUE = "b"


def pairs(number: int) -> list[tuple[str, int]]:
    return [(f"k{number * index % 300}", index) for index in range(10)]


def flow() -> elastic.Flow:
    return elastic.from_range(200, chunk_size=10).flat_map(pairs).aggregate(SumByKey)


def folder_of(result: elastic.Result, home: Path) -> Path:
    return home / "runs" / result.run_id / "shards" / "step-0000"


def findings(result: elastic.Result, recompute: float = 0.0) -> str:
    return str(elastic.verify(result.run_id, flow(), recompute=recompute))


@pytest.mark.parametrize("kind", ["piece", "result", "manifest"])
def test_one_byte_that_was_changed_names_its_file(kind: str, home: Path) -> None:
    result = flow().run(cluster="inline", shards=2, max_chunks_per_call=5, collect_interval=1e-9)
    rng = random.Random(kind)
    paths = [path for path in folder_of(result, home).iterdir() if path.name.startswith(kind)]
    for path in paths:
        good = path.read_bytes()
        for at in {0, len(good) - 1, *(rng.randrange(len(good)) for _ in range(6))}:
            path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
            assert str(path) in findings(result), at
        path.write_bytes(good)
    assert findings(result).startswith("verified: 200 entries")


@pytest.mark.parametrize("kind", ["piece", "result"])
def test_a_file_that_is_missing_or_cut_short_is_named(kind: str, home: Path) -> None:
    result = flow().run(cluster="inline", shards=2)
    path = next(path for path in folder_of(result, home).iterdir() if path.name.startswith(kind))
    good = path.read_bytes()
    path.write_bytes(good[:-1])
    assert f"{path} ends at byte {len(good) - 1}" in findings(result)
    path.unlink()
    assert f"{path} cannot be read" in findings(result)


def test_damage_of_a_piece_names_the_chunks_that_are_in_it(home: Path) -> None:
    result = flow().run(cluster="inline", shards=2)
    path = next(path for path in folder_of(result, home).iterdir() if path.name.startswith("piece"))
    path.write_bytes(b"\0" + path.read_bytes()[1:])
    assert findings(result).startswith(
        "step 0, chunks 0 to 19: the partial result that holds it is damaged: bytes 0 to"
    )


def test_a_manifest_that_is_missing_is_reported_and_the_result_can_be_read_without_it(home: Path) -> None:
    result = flow().run(cluster="inline", shards=2)
    expected = dict(result.value)
    (folder_of(result, home) / "manifest-1.json").unlink()
    assert "the manifest of its result is missing" in findings(result)
    assert dict(elastic.result_of(result.run_id, flow()).value) == expected


def test_what_lies_beside_the_manifest_does_not_hide_it(home: Path) -> None:
    result = flow().run(cluster="inline", shards=2)
    expected = dict(result.value)
    (folder_of(result, home) / "manifest-9.json").write_text("{}")
    assert findings(result).startswith("verified: 200 entries")
    assert dict(elastic.result_of(result.run_id, flow()).value) == expected


@pytest.mark.parametrize("shards", [None, 2])
@pytest.mark.parametrize("keys", [list(Colour), [Colour.RED, 7], ["x", Colour.RED]], ids=["all", "mixed", "one"])
@pytest.mark.parametrize("aggregator", [Count, SumByKey])
def test_keys_of_an_enum_are_refused_by_name_with_and_without_shards(
    keys: list[object], aggregator: type, shards: int | None
) -> None:
    def key_of(number: int) -> object:
        return keys[number % 2] if aggregator is Count else (keys[number % 2], 1)

    flow = elastic.from_range(8, chunk_size=2).map(key_of).aggregate(aggregator)
    options = {} if shards is None else {"shards": shards}
    with pytest.raises(StepFailedError, match=r"Colour is not plain data .* pass its \.value"):
        flow.run(cluster="inline", **options)


def test_a_result_that_was_made_up_does_not_have_the_seal(home: Path) -> None:
    result = flow().run(cluster="inline", shards=2)
    path = folder_of(result, home) / "manifest-1.json"
    told = json.loads(path.read_text())
    told["shards"].reverse()
    path.write_text(json.dumps(told, indent=2) + "\n")
    assert f"{path} was changed since it was written" in findings(result)
    with pytest.raises(CorruptStoreError, match="was changed since it was written"):
        elastic.result_of(result.run_id, flow())


def test_recomputing_merges_the_pieces_again(home: Path) -> None:
    result = flow().run(cluster="inline", shards=2, max_chunks_per_call=5, collect_interval=1e-9)
    told = findings(result, recompute=1.0)
    assert "20 chunks read again, 20 of them run again" in told
    assert told.startswith("verified")


def test_a_damaged_result_cannot_be_read_in_part(home: Path) -> None:
    result = flow().run(cluster="inline", shards=1)
    (path,) = [path for path in folder_of(result, home).iterdir() if path.name.startswith("result")]
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptStoreError, match=str(path)):
        dict(elastic.result_of(result.run_id, flow()).value)
