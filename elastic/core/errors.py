"""Errors that Elastic raises on purpose.

    ElasticError
    ├── UsageError (ValueError)          a request cannot be fulfilled as written
    │   └── FlowTargetError              a name does not lead to a flow
    ├── SourceError                      a source cannot be opened or read
    │   ├── SourceNotFoundError (FileNotFoundError)
    │   ├── SourceChangedError           a file is not the file that was cut
    │   └── DecodingError (ValueError)   bytes of a source are invalid
    ├── EncodingError (ValueError)       a value cannot become bytes, or bytes a value
    ├── UnorderedKeyError (TypeError)    keys of this class cannot be compared
    ├── ReceiptError (ValueError)        a receipt is forged, or of another run
    ├── StoreError
    │   ├── StoreFullError (OSError)     no space left; nothing was written
    │   ├── CorruptStoreError            data on disk was damaged
    │   ├── StoreBusyError               another process keeps the data locked for too long
    │   ├── RunLockedError               another master works on this run
    │   ├── FencedError                  a newer master has taken this run over
    │   └── UnknownRunError (LookupError)
    ├── ClusterError                     a cluster cannot be reached or used
    │   ├── ClusterLostError             the cluster's head stopped responding
    │   ├── NodeRefusedError             a node runs other versions, or cannot load the program
    │   └── NoWorkerError (TimeoutError) no CPU became free in time, or all workers died as they started
    ├── EntryError                       the user's function failed on an entry
    ├── StepFailedError                  a step ended in error
    │   ├── StepInterruptedError         the user stopped it
    │   └── StepSuspendedError           the disk or the cluster failed; it can be resumed
    └── LedgerError (RuntimeError)       an event is impossible: a bug in Elastic

An error that crosses processes keeps its fields as `args` and builds its text in `__str__`, because an
exception is rebuilt on the other side by calling its class with `args`.
"""


class ElasticError(Exception):
    """Root of all errors: catch it to catch every error that Elastic raises on purpose."""


class UsageError(ElasticError, ValueError):
    """A request cannot be fulfilled as written."""


class FlowTargetError(UsageError):
    """`module:attr` or `file.py:attr` does not lead to a flow."""


class SourceError(ElasticError):
    """A source cannot be opened or read."""


class SourceNotFoundError(SourceError, FileNotFoundError):
    """A path or pattern names nothing."""

    def __init__(self, path: str, reason: str = "does not exist") -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path!r} {self.reason}; check the path (folders, globs and lists of both are accepted)."


class SourceChangedError(SourceError):
    """A file is no longer the file that was cut into chunks."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(path, what)
        self.path, self.what = path, what

    def __str__(self) -> str:
        return (
            f"{self.path!r} changed while the run was reading it ({self.what}); "
            "start a new run on a file that no process writes to."
        )


class DecodingError(SourceError, ValueError):
    """Bytes of a source are invalid."""

    def __init__(self, path: str, byte: int, problem: str, advice: str) -> None:
        super().__init__(path, byte, problem, advice)
        self.path, self.byte, self.problem, self.advice = path, byte, problem, advice

    def __str__(self) -> str:
        return f"{self.path!r}, byte {self.byte}: {self.problem}; {self.advice}."


class EncodingError(ElasticError, ValueError):
    """A value cannot become bytes, or bytes cannot become a value."""


class UnorderedKeyError(ElasticError, TypeError):
    """A key must be compared with others, but its class has no total order."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(kind, key)
        self.kind, self.key = kind, key

    def __str__(self) -> str:
        return (
            f"the key {self.key} is a {self.kind}, and these have no order; compare by a number, a string, a "
            "time, or a tuple of these, for example by key=..."
        )


class ReceiptError(ElasticError, ValueError):
    """A receipt is forged, damaged, or belongs to another run."""


class StoreError(ElasticError):
    """Stored data of a run cannot be written or read."""


class StoreFullError(StoreError, OSError):
    """No space is left. Nothing was written, and the data must not be sent."""


class CorruptStoreError(StoreError):
    """Data on disk differs from the data that was written."""


class StoreBusyError(StoreError):
    """Another process keeps stored data locked for too long, usually by a commit."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__(path, seconds)
        self.path, self.seconds = path, seconds

    def __str__(self) -> str:
        return f"{self.path} is busy: another process kept it locked for {self.seconds:g} s; try again in a moment."


class RunLockedError(StoreError):
    """Another master works on this run."""

    def __init__(self, run_id: str, holder: str) -> None:
        super().__init__(run_id, holder)
        self.run_id, self.holder = run_id, holder

    def __str__(self) -> str:
        return f"run {self.run_id} is being worked on by {self.holder}; wait for it or stop that process."


class FencedError(StoreError):
    """A newer master has taken over the run; this one must stop writing."""

    def __init__(self, run_id: str, epoch: int) -> None:
        super().__init__(run_id, epoch)
        self.run_id, self.epoch = run_id, epoch

    def __str__(self) -> str:
        return f"run {self.run_id} was taken over by a newer master (this one is of epoch {self.epoch})."


class UnknownRunError(StoreError, LookupError):
    """No run has this id."""

    def __init__(self, run_id: str, home: str) -> None:
        super().__init__(run_id, home)
        self.run_id, self.home = run_id, home

    def __str__(self) -> str:
        return f"no run {self.run_id!r} in {self.home}; `elastic runs list` shows all runs."


class ClusterError(ElasticError):
    """A cluster cannot be reached or used."""


class ClusterLostError(ClusterError):
    """The head of a cluster stopped responding."""

    def __init__(self, address: str, silence: float) -> None:
        super().__init__(address, silence)
        self.address, self.silence = address, silence

    def __str__(self) -> str:
        return f"the head of the Ray cluster at {self.address} has not answered for {self.silence:.0f} s"


class NodeRefusedError(ClusterError):
    """A node of the cluster cannot take part."""

    def __init__(self, node_id: str, reason: str) -> None:
        super().__init__(node_id, reason)
        self.node_id, self.reason = node_id, reason

    def __str__(self) -> str:
        return f"node {self.node_id} is refused: {self.reason}."


class NoWorkerError(ClusterError, TimeoutError):
    """No worker could be started in time, or none is left."""


class EntryError(ElasticError):
    """The user's function failed on an entry."""


class StepFailedError(ElasticError):
    """A step ended in error; the text has the reason."""

    def __init__(self, run_id: str, reason: str, traceback: str = "") -> None:
        super().__init__(run_id, reason, traceback)
        #: `traceback`: of the user's function, as text
        self.run_id, self.reason, self.traceback = run_id, reason, traceback

    def __str__(self) -> str:
        return f"{self.reason.removesuffix('.')} (run {self.run_id})"


class StepInterruptedError(StepFailedError):
    """The user stopped a step."""

    def __init__(self, run_id: str) -> None:
        ElasticError.__init__(self, run_id)
        self.run_id, self.reason, self.traceback = run_id, "it was stopped before its end", ""


#: The exit code of a process whose run is suspended; `sysexits.h` calls it a temporary failure.
EXIT_SUSPENDED = 75


class StepSuspendedError(StepFailedError):
    """The disk or the cluster failed during a step; it can be resumed from its last commit."""

    def __str__(self) -> str:
        return (
            f"{self.reason}; correct that and run `elastic resume {self.run_id}`, which continues from the last commit."
        )


class LedgerError(ElasticError, RuntimeError):
    """An event is impossible in the ledger's state: a bug in Elastic; the message lists the chunk's events."""
