"""All workloads by key."""

from benchmarks.first_records import FIRST_OF_FILE, FIRST_OF_FILES
from benchmarks.generator_entries import BY_VALUE
from benchmarks.growth import GROWTH
from benchmarks.lines_to_parquet import LINES_TO_PARQUET
from benchmarks.monte_carlo import MONTE_CARLO
from benchmarks.parquet_group import PARQUET_GROUP
from benchmarks.small_file import SMALL_FILES
from benchmarks.start import START
from benchmarks.tiny_chunk import TINY_CHUNKS
from benchmarks.wide_sum import WIDE_SUM
from benchmarks.word_count import FEW_WORDS, FRAMES, MANY_WORDS, PARTS

_WORDS = (MANY_WORDS, FEW_WORDS, PARTS, FRAMES, SMALL_FILES)
_FILES = (LINES_TO_PARQUET, PARQUET_GROUP, FIRST_OF_FILE, FIRST_OF_FILES)
_ALL = (*_WORDS, TINY_CHUNKS, MONTE_CARLO, WIDE_SUM, START, BY_VALUE, *_FILES, GROWTH)

WORKLOADS = {workload.key: workload for workload in _ALL}
