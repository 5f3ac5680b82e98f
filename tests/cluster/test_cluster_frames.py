"""Frames on Ray workers: lines that end a process are found one by one, and all others are counted."""

import os
from pathlib import Path

import polars as pl
import pytest

import elastic
from elastic.aggregators import FrameCount
from elastic.core.encoding import unpack

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("embedded_ray")]


def leave(frame: pl.DataFrame) -> pl.DataFrame:
    if "777" in frame["entry"]:
        os._exit(3)
    return frame.group_by(rest=pl.col("entry").cast(pl.Int64) % 7).len()


def test_a_line_that_ends_the_process_of_a_function_of_frames_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "numbers.txt"
    path.write_text("".join(f"{number}\n" for number in range(1000)))
    flow = elastic.read_text(path, chunk_bytes=1000).map_frames(leave)
    sums = flow.map_frames(per_rest).aggregate(FrameCount("rest"))
    result = sums.run(cluster="local", on_error="dead-letter")
    (letter,) = elastic.dead_letters(result.run_id)
    assert (unpack(letter.entry), result.errors) == ("777", 1)
    expected = {rest: len(range(rest, 1000, 7)) - (rest == 0) for rest in range(7)}
    assert dict(result.value.iter_rows()) == expected
    assert elastic.verify(result.run_id).ok


def per_rest(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(pl.col("rest").repeat_by("len")).explode("rest")
