"""Transforms: operations of a flow on entries, as values. How they run is in `elastic.stages.worker.pipeline`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from elastic.core.user_module import shown_module


@dataclass(frozen=True, slots=True)
class Transform:
    """One link of a flow, holding the user's function."""

    function: Callable[..., Any]

    #: name of the method of a flow
    verb: ClassVar[str] = ""

    def __str__(self) -> str:
        return f"{self.verb}({name_of(self.function)})"


class Map(Transform):
    """One entry becomes one entry: `function(entry)`."""

    __slots__ = ()
    verb = "map"


class Filter(Transform):
    """Entries for which `function(entry)` is false are dropped."""

    __slots__ = ()
    verb = "filter"


class FlatMap(Transform):
    """One entry becomes all elements of `function(entry)`."""

    __slots__ = ()
    verb = "flat_map"


class MapChunks(Transform):
    """All entries of a chunk become all elements of `function(list of entries)`."""

    __slots__ = ()
    verb = "map_chunks"


class Task(Transform):
    """All entries of a chunk become one entry, `function(list of entries)`: ElasticFlow's task."""

    __slots__ = ()
    verb = "task"


class KeyBy(Transform):
    """An entry becomes the pair `(function(entry), entry)`."""

    __slots__ = ()
    verb = "key_by"


class Words(Transform):
    """All entries of a chunk, which are strings, become their words: `function(entries)`."""

    __slots__ = ()
    verb = "words"


class MapFrames(Transform):
    """All entries of a chunk become one frame, `function(frame)`; the frame is one entry."""

    __slots__ = ()
    verb = "map_frames"


class MapTables(Transform):
    """As `MapFrames`, for a function that takes an Arrow table."""

    __slots__ = ()
    verb = "map_frames"


class FrameWords(Transform):
    """All entries of a chunk, which are strings, become one frame of their words: `function(entries)`."""

    __slots__ = ()
    verb = "words"


#: The transforms behind which a chunk is a frame.
OF_FRAMES = (MapFrames, MapTables, FrameWords)

#: The transforms that see a whole chunk at a time.
WHOLE_CHUNK = (MapChunks, Task, Words, *OF_FRAMES)


def name_of(function: Callable[..., Any]) -> str:
    """Return the name of a user's function for display: module, name and line, if known."""
    while isinstance(function, partial):
        function = function.func
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    code = getattr(function, "__code__", None)
    module = getattr(function, "__module__", None)
    if code is None:
        return f"{shown_module(module)}.{name}" if module and module != "builtins" else name
    return f"{shown_module(module)}.{name} (line {code.co_firstlineno})"
