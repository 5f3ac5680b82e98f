"""The folder of a step's chunks, and whether it may still be used."""

import contextlib
from pathlib import Path

from elastic.core.errors import StoreError
from elastic.persistence.durable_file import make_folder, sync_file, sync_folder


class StepFolder:
    """`<run>/chunks/step-0000`: made when the first chunk is put, removed when the step is cleaned."""

    def __init__(self, run_folder: Path, run_id: str, step: int, *, read_only: bool = False) -> None:
        self.path = run_folder / "chunks" / f"step-{step:04}"
        self.run_id = run_id
        self.step = step
        self._read_only = read_only
        self._failure: str | None = None

    def make(self) -> None:
        make_folder(self.path)

    def names(self) -> list[str]:
        """Return the names in the folder in order; none when it was never made.

        Raises:
            StoreError: The folder cannot be read.
        """
        try:
            return sorted(path.name for path in self.path.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read ({error.strerror}); check its rights.") from error

    def remove_file(self, name: str) -> None:
        """Remove a file; one that is gone already is passed over.

        Raises:
            StoreError: It cannot be removed.
        """
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{self.path / name} cannot be removed ({error.strerror}); check its rights.") from error

    def settle(self, file: int | None = None) -> None:
        """Make durable what an earlier process left: the names in the folder, and what is written in `file`.

        A process that was killed between a write and its sync leaves what can be read, but would be lost with the
        power after somebody has built on it. A reader builds on nothing, so for it nothing is done.

        Raises:
            StoreError: It did not reach the disk.
        """
        if self._read_only:
            return
        try:
            if file is not None:
                sync_file(file)
            sync_folder(self.path)
        except OSError as error:
            raise self.fail(f"{self.path} did not reach the disk ({error.strerror}); check it.") from error

    def remove_if_empty(self) -> None:
        """Remove the folder and the one above it, unless something else lies there."""
        with contextlib.suppress(OSError):
            self.path.rmdir()
            self.path.parent.rmdir()

    def fail(self, message: str) -> StoreError:
        """Refuse all further use, and return the error to raise.

        After a failed sync the system may say "written" about data that it has dropped; nothing read or written
        here can be believed any more.
        """
        self._failure = message
        return StoreError(message)

    def check_usable(self, *, writing: bool) -> None:
        """Refuse use after a failure, and writing where only reading was asked for.

        Raises:
            StoreError: As said.
        """
        if self._failure is not None:
            raise StoreError(f"the chunks of run {self.run_id} are not used after a failure: {self._failure}")
        if writing and self._read_only:
            raise StoreError(f"run {self.run_id} was opened for reading; open it as a master to change its chunks.")
