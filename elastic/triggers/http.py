"""Trigger of the answer of a web server."""

import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urljoin, urlsplit

from elastic.core.public_address import is_public
from elastic.core.redaction import masked_url
from elastic.dag.errors import SensorError
from elastic.dag.execution.wait import Answer
from elastic.hooks.connection import Connection
from elastic.hooks.errors import UnreachableError
from elastic.triggers.trigger import Trigger, TriggerTools

#: Bytes of an answer that are read.
MAX_BYTES = 1024 * 1024

#: Characters of the JSON of a value that is passed to later tasks.
_MAX_VALUE = 1000

#: Redirects that are followed.
_MAX_REDIRECTS = 5

#: Seconds until a server must accept, and until it must send the next bytes.
_TIMEOUTS = (10.0, 20.0)

#: Seconds that reading an answer may take.
_MAX_SECONDS = 25.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTrigger(Trigger):
    """Holds once a server answers a GET with a status, and with a value in its JSON if a pointer is given."""

    kind: ClassVar[str] = "http"
    #: URL, or path below the URL of the connection
    path: str
    status: int = 200
    #: JSON pointer (RFC 6901), and the value that must be there; any value except null and false without `equals`
    pointer: str | None = None
    equals: Any = None
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)

    def check(self, tools: TriggerTools) -> Answer:
        connection = tools.connection(self.connection) if self.connection else None
        url, is_private = _address(connection, self.path)
        needs_body = self.pointer is not None
        status, body = _get(url, dict(self.headers), connection, is_private=is_private, needs_body=needs_body)
        if status in (401, 403):
            raise SensorError(f"{self._shown} refused the request with status {status}; check the credentials.")
        if status != self.status:
            return Answer(done=False, reason=f"{self._shown} answered with status {status}")
        if self.pointer is None:
            return Answer(done=True, reason=f"{self._shown} answered with status {status}")
        return self._look_up(body)

    @property
    def _shown(self) -> str:
        return masked_url(self.path) if "://" in self.path else repr(self.path.partition("?")[0])

    def _look_up(self, body: bytes) -> Answer:
        if len(body) > MAX_BYTES:
            raise SensorError(f"the answer of {self._shown} has more than {MAX_BYTES:,} bytes; ask for a smaller one.")
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            return Answer(done=False, reason=f"the answer of {self._shown} is not JSON")
        for part in (self.pointer or "").split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and name in found:
                found = found[name]
            elif isinstance(found, list) and name.isascii() and name.isdigit() and int(name) < len(found):
                found = found[int(name)]
            else:
                return Answer(done=False, reason=f"the answer of {self._shown} has nothing at {self.pointer!r}")
        is_met = _is_same(found, self.equals) if self.equals is not None else found is not None and found is not False
        text = json.dumps(found)
        shown = text if len(text) <= 60 else f"{text[:57]}..."
        value = found if is_met and len(text) <= _MAX_VALUE else None
        return Answer(done=is_met, value=value, reason=f"{self.pointer} is {shown}")


def _is_same(found: Any, expected: Any) -> bool:
    """Return whether two JSON values are the same. In Python, True equals 1; in JSON it does not."""
    if isinstance(found, dict) and isinstance(expected, dict):
        return found.keys() == expected.keys() and all(_is_same(found[name], expected[name]) for name in found)
    if isinstance(found, list) and isinstance(expected, list | tuple):
        return len(found) == len(expected) and all(map(_is_same, found, expected))
    return bool(found == expected) and isinstance(found, bool) is isinstance(expected, bool)


def _address(connection: Connection | None, path: str) -> tuple[str, bool]:
    """Return a URL without credentials, and whether its host may have a private address."""
    if connection is None:
        return path, False
    if urlsplit(path).scheme:
        is_own = urlsplit(path).hostname == connection.host
        return path, is_own and _is_private(connection.host or "")
    base = f"{connection.kind}://{connection.host}{f':{connection.port}' if connection.port else ''}/"
    root = urljoin(base, f"{connection.schema or ''}/".lstrip("/"))
    return urljoin(root, path.lstrip("/")), _is_private(connection.host or "")


def _get(
    url: str, headers: dict[str, str], connection: Connection | None, *, is_private: bool, needs_body: bool
) -> tuple[int, bytes]:
    """Return the status and the first bytes of an answer; without `needs_body`, none of them.

    A redirect leads to a private address only if the connection itself has one. Credentials go to the host of the
    connection only.
    """
    import requests
    import urllib3

    own = urlsplit(url).netloc
    until = time.monotonic() + _MAX_SECONDS
    with requests.Session() as session:
        session.trust_env = False
        for _ in range(_MAX_REDIRECTS + 1):
            is_own = urlsplit(url).netloc == own
            login = (connection.login or "", connection.password or "") if connection and connection.login else None
            try:
                answer = session.get(
                    url,
                    headers=headers if is_own else {},
                    auth=login if is_own else None,
                    timeout=_TIMEOUTS,
                    allow_redirects=False,
                    stream=True,
                )
                with answer:
                    target = answer.headers.get("location") if answer.is_redirect else None
                    if target is None:
                        return answer.status_code, _body(answer, until) if needs_body else b""
            except (requests.exceptions.InvalidURL, requests.exceptions.InvalidHeader) as error:
                raise SensorError(f"{masked_url(url)} cannot be asked; correct the URL or the headers.") from error
            except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
                raise UnreachableError(masked_url(url), type(error).__name__) from error
            following = urljoin(url, target)
            parts = urlsplit(following)
            if parts.scheme not in ("http", "https") or (not is_private and _is_private(parts.hostname or "")):
                raise SensorError(
                    f"{masked_url(url)} redirects to {masked_url(following)}, which is not a public web address; "
                    "use the final URL."
                )
            url = following
    raise SensorError(f"{masked_url(url)} redirects more than {_MAX_REDIRECTS} times.")


def _body(answer: Any, until: float) -> bytes:
    found = bytearray()
    # One read of the socket at a time, because a server may send a byte now and then.
    while part := answer.raw.read1(64 * 1024, decode_content=True):
        found += part
        if len(found) > MAX_BYTES:
            break
        if time.monotonic() > until:
            raise TimeoutError(f"the answer took longer than {_MAX_SECONDS:g} s")
    return bytes(found)


def _is_private(host: str) -> bool:
    """Return whether a host has an address that is not public; a host without an address counts as public."""
    try:
        found = {one[4][0] for one in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return False
    return not all(is_public(str(one)) for one in found)
