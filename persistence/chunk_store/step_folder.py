"""The folder of a step's stored chunks, which refuses further use after a failure."""

import contextlib
from pathlib import Path

from elastic.core.errors import StoreError
from elastic.persistence.durable_file import make_folder, sync_file, sync_folder


class StepFolder:
    """Folder `<run>/chunks/step-0000`, created for the first chunk and removed by the clean-up of the step."""

    def __init__(self, run_folder: Path, run_id: str, step: int, *, read_only: bool = False) -> None:
        self.path = run_folder / "chunks" / f"step-{step:04}"
        self.run_id = run_id
        self.step = step
        self._read_only = read_only
        self._failure: str | None = None

    def make(self) -> None:
        make_folder(self.path)

    def names(self) -> list[str]:
        """Return the names in the folder in ascending order; an empty list if the folder does not exist.

        Raises:
            StoreError: The folder cannot be read.
        """
        try:
            return sorted(path.name for path in self.path.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read ({error.strerror}); check its permissions.") from error

    def remove_file(self, name: str) -> None:
        """Remove a file, if it exists.

        Raises:
            StoreError: The file cannot be removed.
        """
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"{self.path / name} cannot be removed ({error.strerror}); check its permissions."
            ) from error

    def sync(self, file: int | None = None) -> None:
        """Sync the names in the folder, and the content of `file`, which an earlier process may have left unsynced.

        After a process is killed between a write and its sync, the data can be read. A power cut could still lose it,
        after this process has based a commit on it. A reader commits nothing, so it syncs nothing.

        Raises:
            StoreError: The sync failed.
        """
        if self._read_only:
            return
        try:
            if file is not None:
                sync_file(file)
            sync_folder(self.path)
        except OSError as error:
            raise self.fail(f"{self.path} was not synced to the disk ({error.strerror}); check the disk.") from error

    def remove_if_empty(self) -> None:
        """Remove the folder and its parent, each only if it is empty."""
        with contextlib.suppress(OSError):
            self.path.rmdir()
            self.path.parent.rmdir()

    def fail(self, message: str) -> StoreError:
        """Refuse all further use, and return the error to raise.

        After a failed sync the system may report data as written that it has dropped, so no later read or write of
        this folder can be trusted.
        """
        self._failure = message
        return StoreError(message)

    def check_usable(self, *, writing: bool) -> None:
        """Refuse any use after a failure, and writing to a folder that was opened for reading.

        Raises:
            StoreError: Either is the case.
        """
        if self._failure is not None:
            raise StoreError(f"the chunk store of run {self.run_id} is closed after a failure: {self._failure}")
        if writing and self._read_only:
            raise StoreError(f"run {self.run_id} was opened for reading; open it as a master to change its chunks.")
