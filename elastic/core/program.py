"""The program: what every worker of a step needs, pickled once and sent to each of them."""

from collections.abc import Callable
from dataclasses import dataclass

from elastic.core.contracts.aggregator import AnyAggregator
from elastic.core.contracts.source import Reader
from elastic.core.encoding import framer
from elastic.core.policies.error_policy import ErrorPolicy
from elastic.core.receipts.receipt import ReceiptSigner
from elastic.core.transform import Transform


@dataclass(frozen=True, slots=True)
class Program:
    """How a worker turns chunks into a partial."""

    reader: Reader
    transforms: tuple[Transform, ...]
    aggregator: AnyAggregator
    tolerance: ErrorPolicy
    #: what makes and checks receipts: the run's key, the run, the step
    key: bytes
    run_id: str
    step: int
    #: states are compressed before they are sent and kept
    compressed: bool = True

    @property
    def signer(self) -> ReceiptSigner:
        """Signer of the receipts of this step."""
        return ReceiptSigner(key=self.key, run_id=self.run_id, step=self.step)

    @property
    def frame(self) -> Callable[[bytes], bytes]:
        """What makes a frame of a payload or a state."""
        return framer(compressed=self.compressed)
