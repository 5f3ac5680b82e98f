"""The cell: runs one chunk in a process of its own, entry by entry, to find those that end or hang a process.

The process loads the program once and forks for each try. What is running now is noted in memory that the forks share,
so when a fork ends before its result is there, the entry is known and the next fork leaves it out. If the program has
started threads of a library, which a fork would not have, each fork loads the program itself.
"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from elastic.core.encoding import pack, unpack
from elastic.core.errors import EncodingError
from elastic.core.model.failure import DeadLetter, Failure
from elastic.stages.failure_report import failure_of
from elastic.stages.worker.isolation import FailureBisection, NotToleratedError


@dataclass(frozen=True, slots=True)
class EntryProbe:
    """Starts the process for a chunk."""

    #: the program, pickled
    program: bytes

    def run(self, isolation: FailureBisection, entries: Sequence[Any], block: bytes) -> tuple[bytes, list[DeadLetter]]:
        """Return the encoded state of the entries that did not fail, and a letter for each that did.

        Raises:
            RefusedError: An entry fails, or ends or hangs its process, and entries must not.
        """
        order = pack([sys.path, self.program, isolation.chunk_id, isolation.reference, block])
        command = [sys.executable, "-m", "elastic.stages.worker.entry_probe_process"]
        ended = subprocess.run(command, input=order, stdout=subprocess.PIPE, check=False)  # noqa: S603 - our own module
        try:
            state, letters, refusal = unpack(ended.stdout)
        except EncodingError as error:
            place = f"chunk {isolation.chunk_id}"
            failure = failure_of(error, chunk_id=isolation.chunk_id, place=place, function="the cell of a chunk")
            raise NotToleratedError(failure) from error
        if refusal is not None:
            raise NotToleratedError(Failure(*refusal))
        return state, list(map(DeadLetter.of, letters))
