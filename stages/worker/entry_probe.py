"""Entry probe: runs one chunk in a child process, entry by entry, to find entries that crash or hang a process.

The child loads the program once and forks for every attempt. Forks record the running entry in shared memory. When a
fork dies, the child reads the entry from there, and the next fork skips it. If the program has started threads of a
library, which a fork would not have, each fork loads the program itself.
"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from elastic.core.encoding import pack, unpack
from elastic.core.errors import EncodingError, StoreError
from elastic.core.model.failure import DeadLetter, Failure
from elastic.stages.failure_report import failure_of
from elastic.stages.worker.failure_bisection import FailureBisection, NotToleratedError


@dataclass(frozen=True, slots=True)
class EntryProbe:
    """Starts one child process per chunk."""

    #: Pickled program.
    program: bytes

    def run(self, bisection: FailureBisection, entries: Sequence[Any], block: bytes) -> tuple[bytes, list[DeadLetter]]:
        """Return the encoded state of the entries that do not fail, and a dead letter for each other entry.

        Raises:
            NotToleratedError: An entry fails, crashes or hangs its process, and the error policy does not tolerate it.
            StoreError: The state of the entries cannot be spilled.
        """
        request = pack([sys.path, self.program, bisection.chunk_id, bisection.reference, block])
        command = [sys.executable, "-m", "elastic.stages.worker.entry_probe_process"]
        process = subprocess.run(command, input=request, stdout=subprocess.PIPE, check=False)  # noqa: S603 - our own module
        try:
            state, dead_letters, failure, store_error = unpack(process.stdout)
        except EncodingError as error:
            place = f"chunk {bisection.chunk_id}"
            report = failure_of(error, chunk_id=bisection.chunk_id, place=place, function="the entry probe")
            raise NotToleratedError(report) from error
        if failure is not None:
            raise NotToleratedError(Failure(*failure))
        if store_error is not None:
            raise StoreError(store_error)
        return state, list(map(DeadLetter.of, dead_letters))
