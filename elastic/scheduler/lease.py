"""Leases of attempts that are made in this process, which has no time to renew them in between."""

import contextlib
import threading
from collections.abc import Iterator

from elastic.core.errors import ElasticError
from elastic.db import transition
from elastic.scheduler.order import Order
from elastic.scheduler.site import Site


@contextlib.contextmanager
def kept(site: Site, order: Order) -> Iterator[None]:
    """Renew the lease of an attempt while the block runs, from a thread beside it."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(site.lease / 3):
            with contextlib.suppress(ElasticError):
                transition.renew(site.database, order.lease_owner, site.lease, attempt_uuid=order.facts.attempt_uuid)

    thread = threading.Thread(target=renew, name="elastic-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
