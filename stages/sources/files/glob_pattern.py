"""Glob patterns: their parts, and the names that they match, for local folders and for URLs alike."""

import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import translate
from functools import lru_cache

from elastic.stages.sources.files.written_folder import is_ignored

#: Part that matches any number of folders. A folder stands for all files that this part matches below it.
ANY_DEPTH = "**"


def is_wild(part: str) -> bool:
    """Return True if a path, or a part of one, contains a wildcard."""
    return "*" in part or "?" in part or "[" in part


def split_pattern(pattern: str) -> tuple[str, tuple[str, ...]]:
    """Return the folder before the first wildcard, and the parts after it."""
    parts = pattern.split("/")
    first = next(index for index, part in enumerate(parts) if is_wild(part))
    rest = [part for part in parts[first:] if part]
    # Consecutive `**` mean the same as one.
    kept = [part for index, part in enumerate(rest) if part != ANY_DEPTH or rest[index - 1 : index] != [ANY_DEPTH]]
    return "/".join(parts[:first]), tuple(kept)


@lru_cache(maxsize=256)
def matcher(part: str) -> Callable[[str], bool]:
    """Return a function that checks a name against one part of a pattern; it accepts ignored names too."""
    if part in ("*", ANY_DEPTH):
        return bool
    match = re.compile(translate(part)).match
    return (lambda name: match(name) is not None) if is_wild(part) else part.__eq__


def is_eligible(name: str, part: str, *, is_folder: bool) -> bool:
    """Return True if a part may match a name: hidden names need a part that begins with a dot."""
    if not is_ignored(name, is_folder=is_folder) or not is_wild(part):
        return True
    return name.startswith(".") and part.startswith(".")


def is_path_match(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Return True if the parts of a pattern match a file, given by the names in its path."""
    # Track all match positions at once: with several `**` the number of paths is a power of the depth.
    positions = {0}
    for number, name in enumerate(names, 1):
        is_folder = number < len(names)
        positions = {
            following for at in positions for following in _next_positions(name, parts, at, is_folder=is_folder)
        }
    return len(parts) in positions


def is_above_match(folders: Sequence[str], parts: Sequence[str]) -> bool:
    """Return True if the parts of a pattern may match files below a folder, given by the names in its path."""
    positions = {0}
    for name in folders:
        positions = {following for at in positions for following in _next_positions(name, parts, at, is_folder=True)}
    return any(at < len(parts) for at in positions)


def _next_positions(name: str, parts: Sequence[str], at: int, *, is_folder: bool) -> Iterator[int]:
    """Yield the number of parts that may be used up after a name, if `at` parts are used up before it."""
    while at < len(parts) and parts[at] == ANY_DEPTH:
        is_last = at + 1 == len(parts)
        if (is_folder or is_last) and not is_ignored(name, is_folder=is_folder):
            yield at if is_folder else at + 1
        at += 1
    if at < len(parts) and matcher(parts[at])(name) and is_eligible(name, parts[at], is_folder=is_folder):
        yield at + 1


def is_searched(folders: Sequence[str], parts: Sequence[str]) -> bool:
    """Return True if a wildcard of the pattern matches names in a folder, given by the names in its path."""
    inside = [*folders, "name"]
    for index, part in enumerate(parts):
        prefixes = [parts[:index], parts[: index + 1]] if part == ANY_DEPTH else [parts[:index]]
        if is_wild(part) and any(is_path_match(inside, (*prefix, "*")) for prefix in prefixes):
            return True
    return False
