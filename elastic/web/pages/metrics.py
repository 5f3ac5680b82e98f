"""Metrics of the service, for Prometheus."""

import ipaddress

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from elastic.service.metrics import CONTENT_TYPE, metrics_text
from elastic.web.context import context_of
from elastic.web.routes import Router, identified
from elastic.web.security.rights import PUBLIC, Right

#: Routes of an installation whose metrics need a token, and of one that opens them on loopback.
router, open_router = Router(), Router()


@router.get("/metrics", requires=Right.READ)
def metrics(request: Request) -> Response:
    """Return the metrics in the text format of Prometheus."""
    context = context_of(request)
    return Response(metrics_text(context.database, context.deployment.heartbeat), media_type=CONTENT_TYPE)


@open_router.get("/metrics", requires=PUBLIC)
async def open_metrics(request: Request) -> Response:
    """Return the metrics to clients on this host, and to others that may see pages."""
    if not _is_on_loopback(request):
        await identified(request, Right.READ)
    return await run_in_threadpool(metrics, request)


def _is_on_loopback(request: Request) -> bool:
    """Return whether the client is on this host; a request that a proxy forwarded is not."""
    if any(name in request.headers for name in ("forwarded", "x-forwarded-for", "x-real-ip", "via")):
        return False
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
