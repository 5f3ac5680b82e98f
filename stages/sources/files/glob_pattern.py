"""Globs: their parts, and which names they match, the same for local folders and for URLs."""

import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import translate
from functools import lru_cache

from elastic.stages.sources.files.written_folder import is_passed_over

#: The part that stands for any number of folders. A folder stands for all that this matches below it.
ANY_DEPTH = "**"


def is_wild(part: str) -> bool:
    """Return True if a path, or a part of one, holds a wildcard."""
    return "*" in part or "?" in part or "[" in part


def divided(pattern: str) -> tuple[str, tuple[str, ...]]:
    """Return the folder in front of the first wildcard, and the parts behind it."""
    parts = pattern.split("/")
    first = next(index for index, part in enumerate(parts) if is_wild(part))
    behind = [part for part in parts[first:] if part]
    # Two of them after one another mean the same as one.
    kept = [part for index, part in enumerate(behind) if part != ANY_DEPTH or behind[index - 1 : index] != [ANY_DEPTH]]
    return "/".join(parts[:first]), tuple(kept)


@lru_cache(maxsize=256)
def matcher(part: str) -> Callable[[str], bool]:
    """Return what tells whether a name matches one part of a pattern, whether it may be passed over or not."""
    if part in ("*", ANY_DEPTH):
        return bool
    match = re.compile(translate(part)).match
    return (lambda name: match(name) is not None) if is_wild(part) else part.__eq__


def is_meant(name: str, part: str, *, is_folder: bool) -> bool:
    """Return True if a part that matches a name stands for it: only one that begins with a dot for a hidden name."""
    if not is_passed_over(name, is_folder=is_folder) or not is_wild(part):
        return True
    return name.startswith(".") and part.startswith(".")


def is_path_match(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Return True if the parts of a pattern match a file, given by the names on the way to it."""
    # All ways are followed at once: several `**` make their number a power of the depth.
    reached = {0}
    for number, name in enumerate(names, 1):
        is_folder = number < len(names)
        reached = {after for at in reached for after in _ways_on(name, parts, at, is_folder=is_folder)}
    return len(parts) in reached


def _ways_on(name: str, parts: Sequence[str], at: int, *, is_folder: bool) -> Iterator[int]:
    """Yield how many parts may be used up behind a name, when so many are used up in front of it."""
    while at < len(parts) and parts[at] == ANY_DEPTH:
        is_last = at + 1 == len(parts)
        if (is_folder or is_last) and not is_passed_over(name, is_folder=is_folder):
            yield at if is_folder else at + 1
        at += 1
    if at < len(parts) and matcher(parts[at])(name) and is_meant(name, parts[at], is_folder=is_folder):
        yield at + 1


def is_looked_through(folders: Sequence[str], parts: Sequence[str]) -> bool:
    """Return True if a wildcard of the pattern stands for names in a folder, given by the names on the way to it."""
    inside = [*folders, "name"]
    for index, part in enumerate(parts):
        ways = [parts[:index], parts[: index + 1]] if part == ANY_DEPTH else [parts[:index]]
        if is_wild(part) and any(is_path_match(inside, (*way, "*")) for way in ways):
            return True
    return False
