"""The claim of a process that wants to make an attempt: without it nothing is run.

Leases of attempts that are made in this process, which has no time to renew them in between.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator

from elastic.core.errors import ElasticError
from elastic.db import transitions
from elastic.db.records import Claim
from elastic.scheduler.attempts.attempt_request import AttemptRequest
from elastic.scheduler.deployment import Deployment


def claim(deployment: Deployment, order: AttemptRequest) -> bool:
    """Claim an attempt that is queued; False if it does not count any more, or another process has it."""
    wanted = Claim(
        key=order.facts.key,
        attempt_uuid=order.facts.attempt_uuid,
        host=socket.gethostname(),
        pid=os.getpid(),
        lease_owner=order.lease_owner,
        lease=deployment.lease,
    )
    return transitions.claim(deployment.database, wanted)


@contextlib.contextmanager
def renewing_lease(deployment: Deployment, order: AttemptRequest) -> Iterator[None]:
    """Renew the lease of an attempt while the block runs, from a thread beside it."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(deployment.lease / 3):
            with contextlib.suppress(ElasticError):
                transitions.renew(
                    deployment.database, order.lease_owner, deployment.lease, attempt_uuid=order.facts.attempt_uuid
                )

    thread = threading.Thread(target=renew, name="elastic-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
