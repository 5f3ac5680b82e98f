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
        status, body = _get(*_address(connection, self.path), dict(self.headers), connection)
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
        is_met = found == self.equals if self.equals is not None else found is not None and found is not False
        text = json.dumps(found)
        shown = text if len(text) <= 60 else f"{text[:57]}..."
        value = found if is_met and len(text) <= _MAX_VALUE else None
        return Answer(done=is_met, value=value, reason=f"{self.pointer} is {shown}")


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


def _get(url: str, is_private: bool, headers: dict[str, str], connection: Connection | None) -> tuple[int, bytes]:
    """Return the status and the first bytes of an answer.

    A redirect leads to a private address only if the connection itself has one. Credentials go to the host of the
    connection only.
    """
    import requests

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
                        return answer.status_code, _body(answer, until)
            except requests.exceptions.RequestException as error:
                raise UnreachableError(masked_url(url), type(error).__name__) from error
            following = urljoin(url, target)
            parts = urlsplit(following)
            if parts.scheme not in ("http", "https") or (not is_private and _is_private(parts.hostname or "")):
                raise SensorError(
                    f"{masked_url(url)} redirects to {masked_url(following)}, which is not a public web address."
                )
            url = following
    raise SensorError(f"{masked_url(url)} redirects more than {_MAX_REDIRECTS} times.")


def _body(answer: Any, until: float) -> bytes:
    found = bytearray()
    for part in answer.iter_content(64 * 1024):
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
