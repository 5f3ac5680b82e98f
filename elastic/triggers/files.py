"""Trigger of files."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from elastic.dag.errors import SensorError
from elastic.dag.execution.wait import Answer
from elastic.triggers.trigger import Trigger, TriggerTools

if TYPE_CHECKING:
    from elastic.hooks.files.hook import FileInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTrigger(Trigger):
    """Holds once a file is there, of a size, and unchanged for some time."""

    kind: ClassVar[str] = "file"
    #: path or URL; with a connection, it may be relative to the root of the connection
    path: str
    #: the path is a pattern with `*`, `?` and `**`; one matching file is enough
    glob: bool = False
    #: the path is a folder or a prefix; one file below it is enough
    below: bool = False
    #: bytes
    min_size: int = 0
    #: seconds
    stable_for: float = 0.0

    def check(self, tools: TriggerTools) -> Answer:
        from elastic.hooks.files.hook import FileHook

        hook = FileHook(tools.connection(self.connection)) if self.connection else FileHook()
        what = f"below {self.path!r}" if self.below else f"{'matching ' if self.glob else ''}{self.path!r}"
        reason = f"there is no file {what}"
        count = 0
        for file in hook.list(self.path, glob=self.glob, below=self.below):
            count += 1
            if file.size < self.min_size:
                reason = f"{file.path!r} has {file.size:,} bytes of at least {self.min_size:,}"
                continue
            age = self._age(file, tools)
            if age < self.stable_for:
                reason = f"{file.path!r} changed {max(age, 0):.0f} s ago, and not {self.stable_for:g} s ago"
                continue
            return Answer(done=True, value=file.path, reason=f"{file.path!r} is there")
        return Answer(done=False, reason=f"{reason} ({count} files were looked at)" if count > 1 else reason)

    def _age(self, file: "FileInfo", tools: TriggerTools) -> float:
        """Return the seconds since the last change of a file; infinity if no age is asked for."""
        if not self.stable_for:
            return math.inf
        if file.modified_at is None:
            raise SensorError(f"the file system does not tell when {file.path!r} has changed; leave out stable_for.")
        return (tools.now() - file.modified_at).total_seconds()
