"""Ties: which of several entries with equal keys comes first must not depend on the order in which they came."""

from operator import itemgetter
from typing import Any

from elastic.core.encoding import pack

#: `(key, entry)`: the key is kept with its entry, so that the user's function is called once for each entry, on the
#: worker that has made it.
Ranked = tuple[Any, Any]

key_of = itemgetter(0)


def by_bytes(ranked: Ranked) -> bytes:
    """Return what ties are sorted by: the encoded entry, then the encoded key, which tells 1 from 1.0."""
    key, entry = ranked
    return pack([entry, key])


def first_of(ties: list[Ranked]) -> Ranked:
    """Return the one that comes first; they are encoded only if there are several."""
    return ties[0] if len(ties) == 1 else min(ties, key=by_bytes)
