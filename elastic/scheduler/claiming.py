"""The claim of a process that wants to make an attempt: without it nothing is run."""

import os
import socket

from elastic.db import transition
from elastic.db.value import Claim
from elastic.scheduler.order import Order
from elastic.scheduler.site import Site


def claim(site: Site, order: Order) -> bool:
    """Claim an attempt that is queued; False if it does not count any more, or another process has it."""
    wanted = Claim(
        key=order.facts.key,
        attempt_uuid=order.facts.attempt_uuid,
        host=socket.gethostname(),
        pid=os.getpid(),
        lease_owner=order.lease_owner,
        lease=site.lease,
    )
    return transition.claim(site.database, wanted)
