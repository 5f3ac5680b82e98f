"""Program of a step: pickled once and sent to every worker."""

from collections.abc import Callable
from dataclasses import dataclass, field

from elastic.core.contracts.aggregator import AnyAggregator
from elastic.core.contracts.source import Reader
from elastic.core.encoding import framer
from elastic.core.policies.error_policy import ErrorPolicy
from elastic.core.receipts.receipt import ReceiptSigner
from elastic.core.transform import Transform
from elastic.core.type_registry import RegisteredTypes


@dataclass(frozen=True, slots=True)
class Program:
    """Everything that a worker needs to turn chunks into a partial."""

    reader: Reader
    transforms: tuple[Transform, ...]
    aggregator: AnyAggregator
    error_policy: ErrorPolicy
    #: Identity of the receipts: the run's key, the run, the step.
    key: bytes
    run_id: str
    step: int
    #: True if states are compressed before they are sent and stored.
    compressed: bool = True
    #: True if the input is large enough for a library of frames to be faster, in spite of its import.
    in_columns: bool = False
    #: Loading a pickled program registers them.
    types: RegisteredTypes = field(default_factory=RegisteredTypes)

    @property
    def signer(self) -> ReceiptSigner:
        """Signer of the receipts of this step."""
        return ReceiptSigner(key=self.key, run_id=self.run_id, step=self.step)

    @property
    def frame(self) -> Callable[[bytes], bytes]:
        """Function that frames the bytes of a payload or a state."""
        return framer(compressed=self.compressed)
