"""WordCount: counts the words of frames, with the states and the result of `Count`."""

from collections import Counter
from collections.abc import Iterable
from io import BytesIO
from itertools import chain
from typing import TYPE_CHECKING, Any

from elastic.aggregators.frames.base import FrameAggregator, FrameBuffer, grouped
from elastic.aggregators.states.columns import TextColumn, pack_joined, unpack_columns
from elastic.aggregators.states.validation import ListOf, read_state
from elastic.core.encoding import pack
from elastic.core.errors import EncodingError
from elastic.core.frames import polars_module
from elastic.core.lazy_counter import MIN_LAZY_KEYS, CountTable, LazyCounter

if TYPE_CHECKING:
    from elastic.core.frames import Frame

#: Names of the columns of a state.
WORD, COUNT = "word", "count"

#: Rows that become Python objects in one call.
_ROWS_AT_ONCE = 1 << 16


class WordCount(FrameAggregator):
    """Aggregator of frames with a column `word`, in place of a `Count` of the words; of use to the engine only."""

    def reduce(self, frame: "Frame") -> "Frame":
        pl = polars_module()
        return grouped(frame, [WORD], [pl.len().cast(pl.Int64).alias(COUNT)])

    def group(self, frame: "Frame") -> "Frame":
        return grouped(frame, [WORD], [polars_module().col(COUNT).sum()])

    def result(self, frame: "Frame | None") -> "Counter[str]":
        table = FrameTable(self._empty() if frame is None else frame)
        return LazyCounter(table) if len(table) >= MIN_LAZY_KEYS else Counter(dict(table.items()))

    def fits(self, frame: "Frame") -> bool:
        return bool(frame.schema == self._empty().schema)

    def encode(self, state: FrameBuffer) -> bytes:
        whole = self.whole(state)
        if whole is None:
            whole = self._empty()
        words, counts = whole.get_column(WORD), whole.get_column(COUNT).to_list()
        # Binary, because one wide character would make all characters of a string of Python take four bytes.
        joined = words.str.join("\0").cast(polars_module().Binary).item() if counts else b""
        return pack_joined(joined, counts, len(counts)) or pack([words.to_list(), counts])

    def decode(self, data: bytes) -> FrameBuffer:
        keys, counts = unpack_columns(data) or read_state(data, [list, ListOf(int)], self)
        pl, state = polars_module(), FrameBuffer()
        try:
            words = _words_of(keys)
            frame = pl.DataFrame([words.alias(WORD), pl.Series(COUNT, counts, dtype=pl.Int64)])
        except (TypeError, OverflowError, UnicodeError, pl.exceptions.PolarsError) as error:
            raise EncodingError(f"these bytes are not a state of words ({error})") from error
        if words.null_count() or words.n_unique() < len(words):
            raise EncodingError("these bytes are not a state of words (a key is None, or repeated)")
        state.put(frame, self)
        state.grouped_rows = frame.height
        return state

    @staticmethod
    def _empty() -> "Frame":
        pl = polars_module()
        frame: Frame = pl.DataFrame(schema={WORD: pl.String, COUNT: pl.Int64})
        return frame

    def __str__(self) -> str:
        return "Count"


class FrameTable(CountTable):
    """Table over a frame with the columns `word` and `count`."""

    def __init__(self, frame: "Frame") -> None:
        self._frame = frame

    def __len__(self) -> int:
        return self._frame.height

    def total(self) -> int:
        return int(self._frame.get_column(COUNT).sum())

    def count_of(self, key: str) -> int | None:
        try:
            key.encode()
        except UnicodeEncodeError:
            return None  # half a surrogate pair, which no frame has
        pl = polars_module()
        found = self._frame.filter(pl.col(WORD) == pl.lit(key, dtype=pl.String)).get_column(COUNT)
        return found.item() if len(found) else None

    def most_common(self, number: int) -> list[tuple[str, int]]:
        pl, count = polars_module(), polars_module().col(COUNT)
        least = self._frame.get_column(COUNT).top_k(number).min()
        # Fewer rows than `number` have more than the least count; its ties are taken in their order.
        above = self._frame.lazy().filter(count > pl.lit(least)).collect().rows()
        above.sort(key=lambda row: -row[1])
        ties = self._frame.lazy().filter(count == pl.lit(least)).head(number - len(above)).collect().rows()
        return [*above, *ties]

    def items(self) -> Iterable[tuple[str, int]]:
        slices = self._frame.select(WORD, COUNT).iter_slices(_ROWS_AT_ONCE)
        return chain.from_iterable(zip(*(part.to_list() for part in slice), strict=True) for slice in slices)


def _words_of(keys: Any) -> Any:
    """Return keys as a series of strings."""
    pl = polars_module()
    if isinstance(keys, TextColumn):
        joined = keys.joined
        # Polars would end a line at these.
        if "\n" not in joined and "\r" not in joined:
            data = joined.encode().replace(b"\0", b"\n")
            words = pl.scan_lines(BytesIO(data), name=WORD).collect().get_column(WORD)
            if len(words) == len(keys):
                return words
    return pl.Series(WORD, list(keys), dtype=pl.String, strict=True)
