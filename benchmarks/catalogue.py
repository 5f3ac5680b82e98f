"""All workloads, by their keys."""

from benchmarks.by_value import BY_VALUE
from benchmarks.monte_carlo import MONTE_CARLO
from benchmarks.small_file import SMALL_FILES
from benchmarks.start import START
from benchmarks.tiny_chunk import HUNDRED_THOUSAND, MILLION, TEN_THOUSAND
from benchmarks.wide_sum import WIDE_SUM
from benchmarks.word_count import FEW_WORDS, MANY_WORDS

_ALL = (
    MANY_WORDS,
    FEW_WORDS,
    SMALL_FILES,
    TEN_THOUSAND,
    HUNDRED_THOUSAND,
    MILLION,
    MONTE_CARLO,
    WIDE_SUM,
    START,
    BY_VALUE,
)

WORKLOADS = {workload.key: workload for workload in _ALL}
