"""POST of a JSON document to an address that is checked before it is used."""

import json
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any

from elastic.core.public_address import is_public
from elastic.core.text import one_line
from elastic.notifiers.errors import NotifierError, RefusedMessageError

#: Seconds that each operation on a socket may take.
_TIMEOUT_SECONDS = 10.0

#: Bytes of an answer that are read.
_MAX_ANSWER_BYTES = 64 * 1024

#: Answers after which another try may help; so may it after all from 500 on.
_TRY_AGAIN = (408, 425, 429)

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Address of an HTTP service."""

    #: http or https
    scheme: str
    host: str
    port: int | None
    #: begins with a slash
    path: str
    #: whether the address may be one of this host or of a private network
    may_be_private: bool

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}" + (f":{self.port}" if self.port else "")

    def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Post a JSON document. Redirects are not followed, and the environment names no proxy.

        Raises:
            RefusedMessageError: The service refused it, or its address must not be used.
            NotifierError: The service cannot be reached, or may take it later.
        """
        try:
            status, answer = self._exchange(body, {"Content-Type": "application/json", **headers})
        except (OSError, HTTPException) as error:
            why = one_line(str(error) or type(error).__name__)
            raise NotifierError(f"{self} cannot be used: {why}.") from error
        if 200 <= status < 300:
            return
        if 300 <= status < 400:
            raise RefusedMessageError(f"{self} answered {status}, and redirects are not followed; use the final URL.")
        kind = NotifierError if status >= 500 or status in _TRY_AGAIN else RefusedMessageError
        raise kind(f"{self} answered {status}: {one_line(answer[:300])}.")

    def _exchange(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        port = self.port or _PORTS[self.scheme]
        addresses = _checked_addresses(self.host, port, may_be_private=self.may_be_private)
        connection = (_CheckedHTTPS if self.scheme == "https" else _CheckedHTTP)(self.host, port, _TIMEOUT_SECONDS)
        connection.addresses = addresses
        try:
            connection.request("POST", self.path, body, dict(headers))
            response = connection.getresponse()
            return response.status, response.read(_MAX_ANSWER_BYTES).decode("utf-8", "backslashreplace")
        finally:
            connection.close()


def json_of(value: Any) -> bytes:
    """Return a value as a JSON document that every program can read."""
    return json.dumps(value, ensure_ascii=True).encode()


class _CheckedHTTP(HTTPConnection):
    """Connection to an address that was checked, so that the name cannot change its meaning in between."""

    addresses: Sequence[str] = ()

    def __init__(self, host: str, port: int, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)

    def connect(self) -> None:
        self.sock = _connected(self)


class _CheckedHTTPS(HTTPSConnection):
    """The same over TLS, with the certificate of the name."""

    addresses: Sequence[str] = ()

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self._tls = ssl.create_default_context()
        super().__init__(host, port, timeout=timeout, context=self._tls)

    def connect(self) -> None:
        self.sock = self._tls.wrap_socket(_connected(self), server_hostname=self.host)


def _connected(connection: _CheckedHTTP | _CheckedHTTPS) -> socket.socket:
    """Return a socket to the first address that answers: a host may have an IPv6 address that cannot be reached."""
    *others, last = connection.addresses
    for address in others:
        with suppress(OSError):
            return socket.create_connection((address, connection.port), connection.timeout)
    return socket.create_connection((last, connection.port), connection.timeout)


def _checked_addresses(host: str, port: int, *, may_be_private: bool) -> list[str]:
    """Return the addresses of a host, after a check of all of them.

    Raises:
        RefusedMessageError: An address is not public, and only public ones may be used.
        OSError: The host is unknown.
    """
    found = [str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for one in found if not may_be_private else ():
        if not is_public(one):
            raise RefusedMessageError(
                f"the host {host!r} has the address {one}, which is not public; set notify.private_targets to allow it."
            )
    return found
