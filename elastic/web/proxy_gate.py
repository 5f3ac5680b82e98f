"""ASGI middleware that trusts the X-Forwarded headers of one proxy, and refuses other peers."""

import ipaddress

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware


class ProxyGate:
    """ASGI middleware that forwards the requests of a proxy with the address and the scheme of the client.

    Args:
        app: The app.
        proxy: IP address of the proxy.
        is_exclusive: Whether requests of other peers are refused.
    """

    def __init__(self, app: ASGIApp, proxy: str, *, is_exclusive: bool) -> None:
        self._proxy, self._is_exclusive = ipaddress.ip_address(proxy), is_exclusive
        trusted = [proxy, f"::ffff:{proxy}"] if self._proxy.version == 4 else [proxy]
        # uvicorn types the events of ASGI more narrowly than starlette.
        self._app: ASGIApp = ProxyHeadersMiddleware(app, trusted_hosts=trusted)  # type: ignore[arg-type, assignment]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request, or refuse it."""
        if self._is_exclusive and scope["type"] == "http" and not self._is_of_proxy(scope):
            refusal = PlainTextResponse(
                "This server accepts requests only from its proxy. Use the address of the proxy.\n", 403
            )
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_of_proxy(self, scope: Scope) -> bool:
        peer = scope.get("client")
        try:
            found = ipaddress.ip_address(peer[0]) if peer else None
        except ValueError:
            return False
        # An IPv6 socket shows IPv4 peers as mapped addresses.
        mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
        return (mapped or found) == self._proxy
