"""Cost of the parts of a word count on one CPU, chunk by chunk, without the rest of a run."""

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

#: Parts in order; the seconds of a contender include all earlier parts.
_PARTS = ("counted", "encoded", "merged")

#: Contenders for the whole work in the same table.
_WHOLE = (BLOCKS, "elastic inline: by block", "elastic local: by block")


def parts(many: int, corpus: Corpus, attempt: Attempt) -> Check:
    """Run all parts as workers and the master do, and measure the first `many`."""
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
    """Return the contenders for the parts of a word count, and for the whole."""
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
