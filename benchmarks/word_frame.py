"""Contenders that count words with frames."""

from collections.abc import Callable
from functools import partial

import elastic
from benchmarks.corpus import Corpus
from benchmarks.word_count_contenders import BLOCKS, duckdb, frame_check, plain_by_block, polars
from benchmarks.workload import Attempt, Check, Contender
from elastic.aggregators import FrameCount
from elastic.stages.sources import FileSource, TextLines
from elastic.stages.worker.words import word_frame

CHUNK_BYTES = 16 << 20

_POLARS = "polars: scan_lines, group_by"


def ours(cluster: str, corpus: Corpus, attempt: Attempt) -> Check:
    with attempt.timed():
        lines = elastic.read_text(corpus.root(attempt.text), chunk_bytes=CHUNK_BYTES)
        counts = lines.words().aggregate(FrameCount()).run(cluster=cluster).value
    return frame_check(counts)


def parts(corpus: Corpus, attempt: Attempt) -> Check:
    """Read and count chunk by chunk, as a run does, without the rest of a run."""
    source, counter = FileSource(corpus.root(attempt.text), TextLines(), chunk_bytes=CHUNK_BYTES), FrameCount()
    reader = source.reader().columnar()
    with attempt.timed():
        state = counter.create()
        for piece in source.cut():
            lines = reader.parse(piece.reference, reader.read_block(piece.reference))
            state = counter.add(state, word_frame(lines))
        counts = counter.finish(state)
    return frame_check(counts)


def frame_contenders(corpus: Corpus) -> tuple[Contender, ...]:
    """Return the contenders that count the words of a corpus with frames."""
    rows: list[tuple[str, str, Callable[..., Check], str]] = [
        ("by block", "python", plain_by_block, BLOCKS),
        ("frames", "elastic inline", partial(ours, "inline"), _POLARS),
        ("frames", "elastic local", partial(ours, "local"), _POLARS),
        ("scan_lines, group_by", "polars", polars, _POLARS),
        ("parts of ours, read and counted", "polars", parts, _POLARS),
        ("string_split_regex, GROUP BY", "duckdb", duckdb, _POLARS),
    ]
    return tuple(
        Contender(
            name=name,
            engine=engine,
            carry_out=partial(carry_out, corpus),
            baseline=baseline,
            modules=("polars",) if engine.startswith("elastic") else (),
        )
        for name, engine, carry_out, baseline in rows
    )
