"""W1 and W1d: the words of large files, with many different words and with few."""

from benchmarks.word_peer import Corpus, contenders
from benchmarks.workload import Workload

_MANY = Corpus("sources", piece_bytes=4 << 20)
_FEW = Corpus("documentation", piece_bytes=4 << 20)

#: Bytes of text.
FULL, QUICK = 512 << 20, 4 << 20

_NOTES = (
    "*By line* is `flat_map(str.split)`, and `counts.update(line.split())` in the plain loop; *by block* is "
    "`map_chunks` with a function that splits all lines of a chunk at once, and blocks of 64 KiB of bytes in the plain "
    "loop and in the programs written by hand, which take pieces of 4 MiB.",
)

MANY_WORDS = Workload(
    key="W1",
    title="Word count, many distinct words",
    unit="MiB",
    of_text=True,
    full=FULL,
    quick=QUICK,
    units=_MANY.mebibytes,
    contenders=contenders(_MANY),
    notes=_NOTES,
)

FEW_WORDS = Workload(
    key="W1d",
    title="Word count, few distinct words",
    unit="MiB",
    of_text=True,
    full=FULL,
    quick=QUICK,
    units=_FEW.mebibytes,
    contenders=contenders(_FEW),
    notes=_NOTES,
)
