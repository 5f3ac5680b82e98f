"""The key of a run's receipts, in a separate file so that a copy of the database does not contain it."""

import os
from pathlib import Path

from elastic.core.errors import CorruptStoreError, StoreError
from elastic.persistence.durable_file import create_file, open_file, read_at, store_error, sync_file, write_at

#: Length of a key (bytes).
RUN_KEY_BYTES = 32


def write_key(folder: Path, key: bytes) -> None:
    """Write a key to the new file `<folder>/key`; the caller syncs the folder.

    Raises:
        StoreError: The file exists, or cannot be written.
    """
    path = folder / "key"
    try:
        file = create_file(path)
    except FileExistsError as error:
        raise StoreError(f"{path} exists already; a new run needs a new folder.") from error
    except OSError as error:
        raise store_error(error, path) from error
    try:
        write_at(file, key, 0)
        sync_file(file)
    except OSError as error:
        raise store_error(error, path) from error
    finally:
        os.close(file)


def read_key(folder: Path) -> bytes:
    """Return the key of a run.

    Raises:
        CorruptStoreError: The file is missing, or not 32 bytes long.
        StoreError: The file cannot be read.
    """
    path = folder / "key"
    try:
        file = open_file(path)
    except FileNotFoundError as error:
        raise CorruptStoreError(
            f"{path} is missing, and no receipt of the run can be checked without it; restore the file."
        ) from error
    except OSError as error:
        raise store_error(error, path) from error
    try:
        key = read_at(file, RUN_KEY_BYTES + 1, 0)
    finally:
        os.close(file)
    if len(key) != RUN_KEY_BYTES:
        raise CorruptStoreError(f"{path} must be {RUN_KEY_BYTES} bytes long; restore the file of this run.")
    return key
