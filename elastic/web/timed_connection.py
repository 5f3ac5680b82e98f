"""Connections of the web server that end if their clients do not send full requests in time."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

#: States of a client that has not sent all of its request.
_UNFINISHED = (h11.IDLE, h11.SEND_BODY)


class TimedConnection(H11Protocol):
    """Protocol of HTTP/1.1 that closes a connection whose client has not sent a full request in time.

    The time begins with the connection, and again with the first bytes of each further request. uvicorn limits only
    the silence between requests.
    """

    #: maximum seconds for a request with its body
    request_seconds = 10.0

    _closing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start waiting for a request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Continue waiting unless the request is complete."""
        super().data_received(data)
        if self.conn.their_state in _UNFINISHED:
            self._wait()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._closing is None:
            self._closing = self.loop.call_later(self.request_seconds, self._close)

    def _stop_waiting(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None

    def _close(self) -> None:
        self._closing = None
        if not self.transport.is_closing():
            self.transport.close()
