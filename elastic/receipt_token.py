"""Receipt tokens: decoded with the key of the run that made them."""

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
    """Return the fields of a receipt token that one of the stored runs made.

    Args:
        token: The receipt, as printed by `elastic receipts` and `str(receipt)`.
        key: The key of its run; None searches the stored runs.
        run_id: The id of its run; required with `key`.
        home: Folder of runs; None for that of the environment.

    Raises:
        ReceiptError: The token is invalid or was changed, or its run is not stored here.
        UsageError: Only one of `key` and `run_id` was given.
    """
    if (key is None) != (run_id is None):
        raise UsageError("decode_token needs both key and run_id, or neither.")
    if not isinstance(token, str):
        raise ReceiptError(f"{token!r} is not a receipt; expected a string of about 40 letters and digits.")
    if key is not None and run_id is not None:
        return receipt.decode_token(token, key=key, run_id=run_id)
    return RunHistory(home_at(home)).token(token)[1]
