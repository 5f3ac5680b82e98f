"""W1, W1d, W1-parts and W1-frames: the words of large files, with many different words and with few."""

from collections.abc import Callable

from benchmarks.corpus import Corpus
from benchmarks.word_count_contenders import contenders
from benchmarks.word_count_phases import part_contenders
from benchmarks.word_frame import frame_contenders
from benchmarks.workload import Contender, Workload

_MANY = Corpus("sources", piece_bytes=4 << 20)
_FEW = Corpus("documentation", piece_bytes=4 << 20)

#: Bytes of text.
_FULL = 512 << 20

_NOTES = (
    "*By line* is `flat_map(str.split)`, and `counts.update(line.split())` in the plain loop; *by block* is `words()`, "
    "and blocks of 64 KiB in the plain loop and in the programs written by hand, which take pieces of 4 MiB. These "
    "split bytes, and have bytes for keys; ours, *by line* and *as strings* have strings.",
    "*By block* ends with `most_common(10)`, and *whole* with the first step of an iteration, before which the Counter "
    "of `words()` is filled. With Polars installed, the words of `words()` are a column by themselves.",
    "*Counted, not merged* is a yardstick and no answer: it stops when each worker has its table, so that nothing that "
    "counts in this way in so many processes takes less.",
)


def _of_words(
    key: str, title: str, corpus: Corpus, contenders: Callable[[Corpus], tuple[Contender, ...]], *notes: str
) -> Workload:
    """Return a workload that counts the words of a corpus."""
    return Workload(
        key=key,
        title=title,
        unit="MiB",
        of_text=True,
        full=_FULL,
        units=corpus.mebibytes,
        contenders=contenders(corpus),
        notes=notes,
    )


MANY_WORDS = _of_words("W1", "Word count, many distinct words", _MANY, contenders, *_NOTES)

FEW_WORDS = _of_words("W1d", "Word count, few distinct words", _FEW, contenders, *_NOTES)

PARTS = _of_words(
    "W1-parts",
    "Word count by block, many distinct words, part by part",
    _MANY,
    part_contenders,
    "*Parts of ours* are those of a run, done by one process for one chunk of 4 MiB after another: words counted "
    "in a table of the chunk, as by a worker; the table encoded and compressed, as it travels and is kept; read "
    "and merged into the result, as by the master. So many CPUs cannot do that in less than the sum divided by "
    "their number; *elastic local* starts its workers too, makes receipts and commits. Where workers keep their "
    "tables for longer, as they do after a collection that took long, they count more slowly and there is less to "
    "merge.",
)

FRAMES = _of_words(
    "W1-frames",
    "Word count by frames, many distinct words",
    _MANY,
    frame_contenders,
    "Ours is `words()` and `FrameCount()` with chunks of 16 MiB, and is compared with Polars alone. Inline, Polars "
    "has all CPUs, as it has alone; each of several workers has one.",
    "*Parts of ours* are those of a run that Polars has a part in, one chunk after another by the code of a run: "
    "read, made a frame of words, and grouped. Nothing is encoded, kept or merged, and no lines are counted.",
)
