"""What counting by chunk takes on one CPU: the parts of a run, one chunk after another, with nothing around them."""

import time
from functools import partial
from itertools import pairwise

from benchmarks.corpus import Corpus
from benchmarks.word_count_contenders import BLOCKS, contenders
from benchmarks.workload import Attempt, Check, Contender, words_check
from elastic.aggregators import Count
from elastic.aggregators.basic.count import Utf8Count
from elastic.core.encoding import compress, decompress
from elastic.stages.sources import FileSource, TextLines
from elastic.stages.worker.words import utf8_words

#: The parts, in order; each contender's seconds are those of its part and of all before it.
_PARTS = ("counted", "encoded", "merged")

#: Who has the whole work in the table too.
_WHOLE = (BLOCKS, "elastic inline: by block", "elastic local: by block")


def parts(many: int, corpus: Corpus, attempt: Attempt) -> Check:
    """Do all parts, as workers and the master do them, and have the first so many measured."""
    source = FileSource(corpus.root(attempt.text), TextLines())
    reader = source.reader().columnar()
    worker, master = Utf8Count(), Count()
    counts, spent = master.create(), [0.0] * len(_PARTS)
    for piece in source.cut():
        times = [time.perf_counter()]
        block = reader.read_block(piece.reference)
        table = worker.add_many(worker.create(), utf8_words(reader.parse(piece.reference, block)))
        times.append(time.perf_counter())
        state = compress(worker.encode(table))
        times.append(time.perf_counter())
        counts = master.merge_encoded(counts, decompress(state))
        times.append(time.perf_counter())
        spent = [before + end - begin for before, (begin, end) in zip(spent, pairwise(times), strict=True)]
    attempt.seconds = sum(spent[:many])
    attempt.worked()
    return words_check(counts)


def part_contenders(corpus: Corpus) -> tuple[Contender, ...]:
    """Return the parts of counting the words of a corpus, and the whole."""
    whole = [one for one in contenders(corpus) if one.label in _WHOLE]
    return (
        *whole,
        *(
            Contender(
                name=f"parts of ours, {', '.join(_PARTS[:many])}",
                engine="python",
                carry_out=partial(parts, many, corpus),
                baseline=BLOCKS,
            )
            for many in range(1, len(_PARTS) + 1)
        ),
    )
