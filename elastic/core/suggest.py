"""Suggestions for misspelt names."""

from collections.abc import Iterable
from difflib import get_close_matches


def closest_name(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return the known name most similar to a misspelt one, or an empty string.

    Args:
        name: The misspelt name.
        known: The valid names.
        cutoff: Minimum similarity, from 0 (any name) to 1 (the same name).
    """
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=cutoff)), "")


def did_you_mean(name: str, known: Iterable[str], otherwise: str, max_names: int = 1) -> str:
    """Return the advice for an unknown name: "did you mean 'count'?".

    Args:
        name: The misspelt name.
        known: The valid names.
        otherwise: Advice to return if no valid name is similar.
        max_names: Number of names to suggest at most.
    """
    close = get_close_matches(name, list(known), n=max_names)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else otherwise
