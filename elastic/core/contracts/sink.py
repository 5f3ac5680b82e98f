"""The output contract: where each shard of a wide result is written to, for other programs to read."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from elastic.core.frames import Frame

#: Names the files of a folder that are the result of a write.
MANIFEST = "_manifest.json"

#: Is in a folder from when a run takes it until the manifest tells whose files they are.
MARKER = "_unfinished.json"

#: What other programs leave when they have written a folder, and where unfinished files are.
SUCCESS, STAGING = "_SUCCESS", "_staging"


@dataclass(slots=True)
class OutputFile:
    """What is known of a file of an output; complete when the file is."""

    name: str
    rows: int = 0
    size: int = 0
    sha256: str = ""
    #: the columns and their types, where the format has types
    columns: str = ""

    def plain(self) -> list[Any]:
        """Return plain data, of which `OutputFile(*plain)` makes the part again."""
        return list(astuple(self))


class OutputFileWriter(Protocol):
    """A file of an output that is being written."""

    part: OutputFile

    def write(self, keys: Sequence[Any], values: Sequence[Any]) -> None:
        """Write a row for each key.

        Raises:
            EncodingError: The format has nothing for a key or a value.
        """

    def write_frame(self, frame: "Frame") -> None:
        """Write the rows of a frame, with its columns.

        Raises:
            EncodingError: The format has nothing for a value, or the columns are not those of the frame before.
        """


class Sink(ABC):
    """Takes the rows of each shard."""

    @property
    @abstractmethod
    def writable(self) -> bool:
        """True when this process sees where the files go."""

    @abstractmethod
    def open(self) -> AbstractContextManager[OutputFileWriter]:
        """Return a new file, which has reached the disk when the block is left.

        Raises:
            StoreError: It cannot be written.
        """
