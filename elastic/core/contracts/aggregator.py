"""Aggregator contract: combines the results of chunks into one result."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Generic, TypeVar

from elastic.core import encoding

EntryT = TypeVar("EntryT")
StateT = TypeVar("StateT")
ResultT = TypeVar("ResultT")


class Aggregator(ABC, Generic[EntryT, StateT, ResultT]):
    """Folds entries into a state on the workers, and the states of all workers into one result.

    All threads share an aggregator, and all workers have a copy: it has parameters, but never a state. `add` and
    `merge` may change the states that they get and return one of them, or return a new state; callers then use only
    the returned state. The contract suite checks these laws:

    * merging with a fresh `create()` on either side changes nothing;
    * `decode(encode(state))` is an equivalent state;
    * unless `ordered`, the result is the same for every grouping and every order of merges;
    * `finish` does not change the state: it is also called in the middle of a run, for a partial result.
    """

    #: True: the order of entries matters. Then `merge(state, other)` is only called with an `other` that comes
    #: straight from `add`/`add_many` and whose chunks follow those of `state` without a gap.
    ordered: bool = False

    #: False: states are not stored on disk, because their content has been emitted already (see `Emit`).
    stored: bool = True

    #: Version of its state format. A class of Elastic increments it when older states can no longer be merged; Elastic
    #: then refuses to resume a run that has such states.
    state_format: ClassVar[int] = 1

    #: True: a master in the worker's process (`cluster="inline"`) merges the state object itself instead of
    #: decoding the stored bytes. For states that are slow to decode.
    by_reference: bool = False

    @abstractmethod
    def create(self) -> StateT:
        """Return the state of no entries."""

    @abstractmethod
    def add(self, state: StateT, entry: EntryT) -> StateT:
        """Return the state with one more entry."""

    @abstractmethod
    def merge(self, state: StateT, other: StateT) -> StateT:
        """Return the state of the entries of both; neither argument is used afterwards."""

    @abstractmethod
    def finish(self, state: StateT) -> ResultT:
        """Return the result that the user sees, leaving the state as it is."""

    def add_many(self, state: StateT, entries: Iterable[EntryT]) -> StateT:
        """Return the state with all of `entries`, which are read to their end, once.

        This is the fast path: override it if one call into C can replace the loop over `add`.
        """
        for entry in entries:
            state = self.add(state, entry)
        return state

    def encode(self, state: StateT) -> bytes:
        """Return the state as bytes, without pickle.

        The default supports states of plain data (see `elastic.core.encoding`).

        Raises:
            EncodingError: The state is not plain data.
        """
        return encoding.pack(state)

    def decode(self, data: bytes) -> StateT:
        """Return the state that `encode` was given; `data` may come from disk and is not trusted.

        Raises:
            EncodingError: The bytes are not a state.
        """
        state: StateT = encoding.unpack(data)
        return state

    def merge_encoded(self, state: StateT, data: bytes) -> StateT:
        """Return the merge of a state and of an encoded state.

        Override it if this is possible without decoding the other state.

        Raises:
            EncodingError: The bytes are not a state of this aggregator. The content of `state` is undefined then.
        """
        return self.merge(state, self.decode(data))

    def undo(self, state: StateT, other: StateT) -> Callable[[], StateT] | None:
        """Return a function that restores `state` after `merge(state, other)` has raised.

        A worker calls it before the merge if entries may fail, so it must be faster than the merge. Override it if
        entries may be incompatible with each other, so that a worker can find and leave out those that are. The default
        None means that the state cannot be restored: a merge that raises then ends the step.
        """
        return None

    def of_utf8(self) -> "Aggregator[Any, Any, ResultT] | None":
        """Return an aggregator of texts that are given as their bytes in UTF-8, with encoded states as of this one.

        None says that there is none. Workers use it where texts are words of files, of which no strings are made then.
        """
        return None

    def of_words(self) -> "Aggregator[Any, Any, ResultT] | None":
        """Return an aggregator of frames with a column `word`, with encoded states and results as of this one.

        None says that there is none. The step uses it where entries are words of large files and Polars is installed.
        """
        return None

    def __str__(self) -> str:
        return type(self).__name__


#: Any aggregator.
AnyAggregator = Aggregator[Any, Any, Any]
