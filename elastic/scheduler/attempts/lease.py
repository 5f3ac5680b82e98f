"""Claims and leases of attempts: a process claims an attempt before it runs user code, then renews its lease."""

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


def claim(deployment: Deployment, request: AttemptRequest) -> bool:
    """Claim a queued attempt for this process; return False if it is stale or another process claimed it."""
    wanted = Claim(
        key=request.info.key,
        attempt_uuid=request.info.attempt_uuid,
        host=socket.gethostname(),
        pid=os.getpid(),
        lease_owner=request.lease_owner,
        lease=deployment.lease,
        continues=request.continues,
    )
    return transitions.claim(deployment.database, wanted)


@contextlib.contextmanager
def renewing_lease(deployment: Deployment, request: AttemptRequest) -> Iterator[None]:
    """Renew the lease of an attempt from a background thread while the block runs.

    A supervisor renews the leases of all its attempts in its own loop. This thread is for attempts that block the loop,
    or that run without a supervisor.
    """
    done = threading.Event()

    def renew() -> None:
        while not done.wait(deployment.lease / 3):
            with contextlib.suppress(ElasticError):
                transitions.renew(
                    deployment.database,
                    request.lease_owner,
                    deployment.lease,
                    attempt_uuid=request.info.attempt_uuid,
                )

    thread = threading.Thread(target=renew, name="elastic-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
