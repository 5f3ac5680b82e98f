"""Sink contract: writes each shard of a sharded result to files for other programs."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from elastic.core.frames import Frame

#: File that lists the result files of a folder.
MANIFEST = "_manifest.json"

#: File that marks a folder as taken by a run, until the manifest is written.
MARKER = "_unfinished.json"

#: File by which other programs mark a completed folder, and subfolder of unfinished files.
SUCCESS, STAGING = "_SUCCESS", "_staging"

#: Value in the name of a folder that Hive uses for None.
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclass(slots=True)
class OutputFile:
    """Properties of an output file; final when the file is complete."""

    name: str
    rows: int = 0
    size: int = 0
    sha256: str = ""
    #: Columns and their types, if the format has types.
    columns: str = ""

    def plain(self) -> list[Any]:
        """Return plain data from which `OutputFile(*plain)` rebuilds this value."""
        return list(astuple(self))


class OutputFileWriter(Protocol):
    """Output file that is being written."""

    part: OutputFile

    def write(self, keys: Sequence[Any], values: Sequence[Any]) -> None:
        """Write a row for each key.

        Raises:
            EncodingError: The format does not support a key or a value.
        """

    def write_frame(self, frame: "Frame") -> None:
        """Write the rows of a frame, with its columns.

        Raises:
            EncodingError: The format does not support a value, or the columns differ from the previous frame.
        """


class Sink(ABC):
    """Destination of the rows of each shard."""

    @property
    @abstractmethod
    def writable(self) -> bool:
        """True if this process can write to the destination."""

    @abstractmethod
    def open(self) -> AbstractContextManager[OutputFileWriter]:
        """Return a new file, which has reached the disk when the context exits.

        Raises:
            StoreError: The file cannot be written.
        """
