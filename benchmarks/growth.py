"""Growth: time and memory of a run against the number of its chunks, which are those of W3."""

from functools import partial

from benchmarks.tiny_chunk import PLAIN, ours, plain, pool
from benchmarks.workload import Contender, Workload

#: Fractions of the work that Elastic does, and their names.
_PARTS = ((1000, "a thousandth"), (100, "a hundredth"), (10, "a tenth"), (1, "all"))


def _of(engine: str, cluster: str) -> list[Contender]:
    return [
        Contender(
            name=name,
            engine=engine,
            carry_out=partial(ours, cluster),
            baseline=f"{engine}: a hundredth",
            fraction=fraction,
        )
        for fraction, name in _PARTS
    ]


GROWTH = Workload(
    key="growth",
    title="From a thousand to a million chunks of one integer",
    unit="chunks",
    full=1_000_000,
    contenders=(
        Contender(name="loop", engine="python", carry_out=plain, baseline=PLAIN),
        *_of("elastic inline", "inline"),
        *_of("elastic local", "local"),
        Contender(name="one at a time", engine="pool", carry_out=partial(pool, 1), baseline=PLAIN),
    ),
    notes=(
        "Ours is compared with itself at a hundredth of the chunks: less than 1 is growth of the time for each chunk. "
        "A run's own start is in its time, and is nearly all of it at a thousandth.",
    ),
)
