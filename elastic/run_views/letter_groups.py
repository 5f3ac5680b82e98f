"""Dead letters of a step, grouped by the class of the error and the line that raised it."""

import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from threading import Lock

from elastic.core.model.failure import Failure
from elastic.core.text import one_line
from elastic.persistence.home import RUN_FILE
from elastic.persistence.run_store.inspection import KeptLetter, RunReader

#: Maximum number of dead letters that are grouped.
MAX_GROUPED = 20_000
#: Maximum number of separate groups; all further dead letters form one group.
MAX_GROUPS = 100
#: Maximum size of a dead letter that is read for grouping (bytes).
MAX_LETTER_BYTES = 256 << 10
#: Dead letters per SELECT.
_PAGE_ROWS = 200
#: Number of characters at the end of a traceback that are searched for the last frame.
_TAIL = 20_000
_FRAME = re.compile(r'File "([^"\n]*)", line (\d+)(?:, in ([^\n]*))?')
_FRAME_START = re.compile(r'^ *File "([^"\n]*)", line \d+', re.MULTILINE)
#: Files of Elastic in a traceback.
OWN_FILES = re.compile(
    r"/elastic/(aggregators|core|dag|db|engine|executors|flow|hooks|operators|persistence|scheduler|sensors|stages)/"
)
#: Names of the groups without a readable dead letter.
DAMAGED, LARGE = "damaged dead letters", "large dead letters"
_MAX_NAME = 120
#: Maximum number of steps in a cache, and bytes of the dead letters of a step in it.
_MAX_KEPT, _MAX_KEPT_BYTES = 8, 4 << 20


@dataclass(frozen=True, slots=True)
class SourceLine:
    """Line of code that raised an error."""

    path: str
    line: int
    function: str

    @property
    def name(self) -> str:
        """File name without the folder."""
        return self.path.rpartition("/")[2]

    def __str__(self) -> str:
        return f"{self.name}:{self.line}" + (f" in {self.function}" if self.function else "")


@dataclass(slots=True, kw_only=True)
class LetterGroup:
    """Dead letters with the same error class from the same line."""

    key: str
    error_type: str
    #: line that raised the error; empty if unknown
    place: str
    count: int = 0
    redriven: int = 0
    first: KeptLetter | None = None


@dataclass(slots=True, kw_only=True)
class LetterGroups:
    """Groups of the dead letters of a step, the largest first."""

    groups: list[LetterGroup] = field(default_factory=list)
    #: number of dead letters that were read, of `total`
    read: int = 0
    total: int = 0

    @property
    def is_whole(self) -> bool:
        return self.read >= self.total


def line_of(traceback: str) -> SourceLine | None:
    """Return the innermost line of code in a traceback, or None."""
    tail = traceback[-_TAIL:]
    at = tail.rfind('File "')
    found = _FRAME.match(tail, at) if at >= 0 else None
    if found is None:
        return None
    return SourceLine(one_line(found[1]), int(found[2][:9]), one_line((found[3] or "").strip())[:_MAX_NAME])


def own_traceback(traceback: str) -> str:
    """Return the innermost frames of user code in a traceback, and the error; without such frames, all of it."""
    tail = traceback[-_TAIL:].rstrip()
    frames = list(_FRAME_START.finditer(tail))
    if not frames:
        return tail
    kept = len(frames) - 1
    while kept > 0 and not OWN_FILES.search(frames[kept - 1][1]) and "\nTraceback " not in _between(tail, frames, kept):
        kept -= 1
    return tail[frames[kept].start() :]


def _between(text: str, frames: list[re.Match[str]], number: int) -> str:
    return text[frames[number - 1].start() : frames[number].start()]


def group_of(kept: KeptLetter) -> tuple[str, str]:
    """Return the error class of a dead letter, and the line that raised it."""
    if kept.letter is None:
        return (DAMAGED, "") if kept.is_damaged else (LARGE, "")
    failure = kept.letter.failure
    return one_line(str(failure.error_type))[:_MAX_NAME], _place(failure)


def key_of(group: tuple[str, str]) -> str:
    """Return a short key of a group for URLs."""
    return blake2b("\n".join(group).encode(errors="surrogatepass"), digest_size=6).hexdigest()


def letters_of(
    reader: RunReader, step: int, *, after: tuple[int, int] = (-1, -1), redriven: bool = False
) -> Iterator[KeptLetter]:
    """Yield the dead letters of a step by ascending chunk id and index, with short transactions."""
    while page := reader.kept_letters(
        step, after=after, limit=_PAGE_ROWS, max_bytes=MAX_LETTER_BYTES, redriven=redriven
    ):
        yield from page
        after = place_of(page[-1])


def place_of(kept: KeptLetter) -> tuple[int, int]:
    """Return chunk id and index of a dead letter; the index of a whole chunk is -1."""
    return kept.chunk_id, -1 if kept.index is None else kept.index


def letter_groups(reader: RunReader, step: int, total: int) -> LetterGroups:
    """Return the groups of the dead letters that are not redriven; `total` is their number."""
    groups: dict[tuple[str, str], LetterGroup] = {}
    found = LetterGroups(total=total)
    for kept in letters_of(reader, step):
        if found.read >= MAX_GROUPED:
            break
        found.read += 1
        name = group_of(kept)
        if name not in groups and len(groups) >= MAX_GROUPS:
            name = ("others", "")
        group = groups.get(name)
        if group is None:
            group = groups[name] = LetterGroup(key=key_of(name), error_type=name[0], place=name[1], first=kept)
        group.count += 1
    found.groups = sorted(groups.values(), key=lambda group: -group.count)
    found.total = max(total, found.read)
    return found


def letters_in_group(
    reader: RunReader, step: int, group: str | None, *, after: tuple[int, int], limit: int, redriven: bool = False
) -> tuple[list[KeptLetter], tuple[int, int] | None]:
    """Return a page of dead letters of one group, or of all, and the position after which the next page starts.

    It reads at most `MAX_GROUPED` dead letters, so a page of a rare group may be short although there is a next page.
    """
    page: list[KeptLetter] = []
    last = after
    for read, kept in enumerate(letters_of(reader, step, after=after, redriven=redriven)):
        if len(page) == limit or read == MAX_GROUPED:
            return page, last
        last = place_of(kept)
        if group is None or key_of(group_of(kept)) == group:
            page.append(kept)
    return page, None


class LetterGroupCache:
    """Cache of the groups of a few steps. An entry is valid until the file of the run changes."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[tuple[str, int], tuple[tuple[int, int], LetterGroups]] = OrderedDict()

    def groups(self, reader: RunReader, step: int, total: int) -> LetterGroups:
        """Return the groups of a step as `letter_groups` does."""
        found = (reader.folder / RUN_FILE).stat()
        key, stamp = (str(reader.folder), step), (found.st_mtime_ns, found.st_size)
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        groups = letter_groups(reader, step, total)
        if sum(group.first.size for group in groups.groups if group.first is not None) <= _MAX_KEPT_BYTES:
            with self._lock:
                self._kept[key] = (stamp, groups)
                while len(self._kept) > _MAX_KEPT:
                    self._kept.popitem(last=False)
        return groups


def _place(failure: Failure) -> str:
    traceback = failure.traceback if isinstance(failure.traceback, str) else ""
    return _place_of(traceback[-_TAIL:], str(failure.function)[: 2 * _MAX_NAME])


@lru_cache(maxsize=64)
def _place_of(tail: str, function: str) -> str:
    line = line_of(tail)
    return one_line(function)[:_MAX_NAME] if line is None else str(line)[: 2 * _MAX_NAME]
