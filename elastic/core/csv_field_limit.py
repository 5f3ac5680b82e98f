"""Long fields of CSV: the limit of the csv module is for the whole process, so it is lent and given back."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

#: Characters; a longer field is an error wherever Elastic reads CSV.
_LONGEST = 1 << 30

_lock = Lock()
#: how many blocks need the limit, and what it was before the first of them
_users, _before = 0, 0


@contextmanager
def long_fields() -> Iterator[None]:
    """Raise the limit of the csv module in the block, and put it back unless the program has set another since.

    A limit that is higher already stays. Blocks of several threads may overlap.
    """
    global _users, _before
    with _lock:
        if _users == 0:
            _before = csv.field_size_limit()
        _users += 1
        if csv.field_size_limit() < _LONGEST:
            csv.field_size_limit(_LONGEST)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and csv.field_size_limit() == _LONGEST:
                csv.field_size_limit(_before)
