"""Every error that Elastic raises on purpose.

    ElasticError
    ├── UsageError (ValueError)          what was asked for cannot be done as written
    │   └── FlowTargetError              a name that should lead to a flow does not
    ├── SourceError                      a source cannot be opened or read
    │   ├── SourceNotFoundError (FileNotFoundError)
    │   ├── SourceChangedError           a file is not the file that was cut
    │   └── DecodingError (ValueError)   bytes of a source are not what they should be
    ├── EncodingError (ValueError)       a value cannot become bytes, or bytes a value
    ├── UnorderedKeyError (TypeError)    keys of this class cannot be compared
    ├── ReceiptError (ValueError)        a receipt is forged, or of another run
    ├── StoreError
    │   ├── StoreFullError (OSError)     nothing more can be kept; nothing was written
    │   ├── CorruptStoreError            what lies on disk is not what was written
    │   ├── RunLockedError               another master works on this run
    │   ├── FencedError                  a newer master has taken this run over
    │   └── UnknownRunError (LookupError)
    ├── ClusterError                     a cluster cannot be reached or used
    │   ├── ClusterLostError             the cluster's head does not answer any more
    │   ├── NodeRefusedError             a node runs other versions, or cannot load the program
    │   └── NoWorkerError (TimeoutError) no CPU came free in time, or all workers died as they started
    ├── EntryError                       the user's function failed on an entry
    ├── StepFailedError                  a step ended in error
    │   ├── StepInterruptedError         somebody stopped it
    │   └── StepSuspendedError           its disk or its cluster failed it; it can be resumed
    └── LedgerError (RuntimeError)       the ledger was told something impossible: a bug of ours

An error that crosses processes keeps its fields as `args` and builds its text in `__str__`, because an
exception is rebuilt on the other side by calling its class with `args`.
"""


class ElasticError(Exception):
    """The root: catch this to catch everything that Elastic raises on purpose."""


class UsageError(ElasticError, ValueError):
    """What was asked for cannot be done as it is written."""


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
            "start a new run on a file that nobody writes to."
        )


class DecodingError(SourceError, ValueError):
    """Bytes of a source are not what they should be."""

    def __init__(self, path: str, byte: int, problem: str, advice: str) -> None:
        super().__init__(path, byte, problem, advice)
        self.path, self.byte, self.problem, self.advice = path, byte, problem, advice

    def __str__(self) -> str:
        return f"{self.path!r}, byte {self.byte}: {self.problem}; {self.advice}."


class EncodingError(ElasticError, ValueError):
    """A value cannot become bytes, or bytes cannot become a value."""


class UnorderedKeyError(ElasticError, TypeError):
    """A key is to be compared with others, and its class has no total order."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(kind, key)
        self.kind, self.key = kind, key

    def __str__(self) -> str:
        return (
            f"the key {self.key} is a {self.kind}, and there is no order of these; compare by a number, a text, a "
            "time, or a tuple of such, for example by key=..."
        )


class ReceiptError(ElasticError, ValueError):
    """A receipt is forged, damaged, or belongs to another run."""


class StoreError(ElasticError):
    """What a run keeps on disk cannot be written or read."""


class StoreFullError(StoreError, OSError):
    """Nothing more can be kept. What was to be written was not, and must not be sent."""


class CorruptStoreError(StoreError):
    """What lies on disk is not what was written."""


class RunLockedError(StoreError):
    """Another master works on this run."""

    def __init__(self, run_id: str, holder: str) -> None:
        super().__init__(run_id, holder)
        self.run_id, self.holder = run_id, holder

    def __str__(self) -> str:
        return f"run {self.run_id} is being worked on by {self.holder}; wait for it or stop that process."


class FencedError(StoreError):
    """A newer master has taken this run over; this one must not write any more."""

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
        return f"no run {self.run_id!r} in {self.home}; `elastic runs list` shows what there is."


class ClusterError(ElasticError):
    """A cluster cannot be reached or used."""


class ClusterLostError(ClusterError):
    """The head of a cluster does not answer any more."""

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
    """A step ended in error; its text says on what."""

    def __init__(self, run_id: str, reason: str, traceback: str = "") -> None:
        super().__init__(run_id, reason, traceback)
        #: `traceback` is that of the user's function, as text
        self.run_id, self.reason, self.traceback = run_id, reason, traceback

    def __str__(self) -> str:
        return f"{self.reason} (run {self.run_id})"


class StepInterruptedError(StepFailedError):
    """Somebody stopped a step."""

    def __init__(self, run_id: str) -> None:
        ElasticError.__init__(self, run_id)
        self.run_id, self.reason, self.traceback = run_id, "it was stopped before its end", ""


#: The exit code of a process whose run is suspended; `sysexits.h` calls it a temporary failure.
EXIT_SUSPENDED = 75


class StepSuspendedError(StepFailedError):
    """The disk or the cluster failed a step; what was committed is safe, and it can go on from there."""

    def __str__(self) -> str:
        return f"{self.reason}; mend that and run `elastic resume {self.run_id}`, which goes on from the last commit."


class LedgerError(ElasticError, RuntimeError):
    """The ledger was told something that cannot be: a bug of ours, with the story of the batch."""
