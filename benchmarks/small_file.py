"""W2: the words of many small files."""

from benchmarks.corpus import Corpus
from benchmarks.word_count_contenders import contenders
from benchmarks.workload import Workload

_SMALL = Corpus("small", files_per_piece=100)

SMALL_FILES = Workload(
    key="W2",
    title="Word count over small files",
    unit="files",
    of_text=True,
    full=10_000,
    units=lambda size, text: len(_SMALL.paths(text)),
    contenders=contenders(_SMALL, one_file_per_chunk=True),
    notes=("Elastic gets one file per chunk; the programs written by hand take a hundred files as one piece of work.",),
)
