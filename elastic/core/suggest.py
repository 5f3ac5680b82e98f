"""Suggestions for misspelt names."""

from collections.abc import Iterable
from difflib import get_close_matches

#: Minimum number of characters of an abbreviation.
_MIN_ABBREVIATION = 3


def closest_name(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return the known name most similar to a misspelt one, or an empty string.

    Args:
        name: The misspelt name.
        known: The valid names.
        cutoff: Minimum similarity, from 0 (any name) to 1 (the same name).
    """
    return next(iter(_close(name, list(known), 1, cutoff)), "")


def did_you_mean(name: str, known: Iterable[str], otherwise: str, max_names: int = 1) -> str:
    """Return the advice for an unknown name: "did you mean 'count'?".

    Args:
        name: The misspelt name.
        known: The valid names.
        otherwise: Advice to return if no valid name is similar.
        max_names: Number of names to suggest at most.
    """
    close = _close(name, list(known), max_names)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else otherwise


def _close(name: str, known: list[str], max_names: int, cutoff: float = 0.6) -> list[str]:
    """Return the most similar names; if there are none, those of which the name is an abbreviation."""
    close = get_close_matches(name, known, n=max_names, cutoff=cutoff)
    longer = [other for other in known if other.startswith(name)] if len(name) >= _MIN_ABBREVIATION else []
    # Several names with the same beginning: none of them is more likely than the others.
    return close or (longer if len(longer) <= max_names else [])
