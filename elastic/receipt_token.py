"""Tokens: what a receipt says, read with the key of the run that made it."""

import os

from elastic.core.errors import ReceiptError, UsageError
from elastic.core.receipts import receipt
from elastic.core.receipts.receipt import TokenFields
from elastic.engine.run import home_at
from elastic.run_history import RunHistory


def decode_token(
    token: str,
    *,
    key: bytes | None = None,
    run_id: str | None = None,
    home: "str | os.PathLike[str] | None" = None,
) -> TokenFields:
    """Return what a receipt says, if one of the runs that are kept here made it.

    Args:
        token: The receipt, as `elastic receipts` and `str(receipt)` show it.
        key: The key of its run; None finds the run among those that are kept.
        run_id: The run; only with `key`.
        home: Where runs are kept; None for where the environment says.

    Raises:
        ReceiptError: It is no receipt, was changed, or its run is not here.
        UsageError: Only one of `key` and `run_id` is given.
    """
    if (key is None) != (run_id is None):
        raise UsageError("decode_token takes key and run_id together, or neither of them.")
    if not isinstance(token, str):
        raise ReceiptError(f"{token!r} is not a receipt; a receipt is a text of about 40 letters and digits.")
    if key is not None and run_id is not None:
        return receipt.decode_token(token, key=key, run_id=run_id)
    return RunHistory(home_at(home)).token(token)[1]
