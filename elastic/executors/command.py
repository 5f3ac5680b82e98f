"""What an executor is given to run."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program with its arguments, which runs one task instance and ends with 0 if that succeeded."""

    words: tuple[str, ...]
    #: the same for a process that has loaded the DAG already; an executor without such processes ignores it
    order: Any = field(default=None, repr=False)
    #: what the task says it needs: `cpus`, `memory` in bytes, `custom` resources by name
    resources: Mapping[str, Any] = field(default_factory=dict)

    def __iter__(self) -> Iterator[str]:
        return iter(self.words)

    def __str__(self) -> str:
        return shlex.join(self.words)
