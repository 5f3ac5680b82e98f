"""A mail server and an HTTP service on loopback that keep what they get."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword


class MailCatcher:
    """Handler of a mail server. It refuses recipients, or the first mails, as told."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        #: reply to `RCPT` by recipient, and replies to the next mails
        self.refused: dict[str, str] = {}
        self.replies: list[str] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.port = 0

    async def handle_RCPT(self, _: Any, __: Any, envelope: Any, address: str, ___: Any) -> str:  # noqa: N802 - its name
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: Any, __: Any, envelope: Any) -> str:  # noqa: N802 - its name
        if self.replies:
            return self.replies.pop(0)
        found = message_from_bytes(envelope.content, policy=default)
        assert isinstance(found, EmailMessage)
        self.mails.append(found)
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 OK"

    def authenticate(self, *given: Any) -> AuthResult:
        login = given[4]
        assert isinstance(login, LoginPassword)
        self.logins.append((login.login, login.password))
        return AuthResult(success=login.password == b"right", handled=False)


@contextmanager
def mail_server(**settings: Any) -> Iterator[MailCatcher]:
    """Run a mail server on a free port of this host while the block runs."""
    catcher = MailCatcher()
    server = _AnyPort(catcher, hostname="127.0.0.1", authenticator=catcher.authenticate, **settings)
    server.start()
    catcher.port = server.server.sockets[0].getsockname()[1]
    try:
        yield catcher
    finally:
        server.stop()


class _AnyPort(Controller):
    """Controller that listens on a port that the system chooses."""

    def __init__(self, *given: Any, **settings: Any) -> None:
        super().__init__(*given, port=0, **settings)

    def _trigger_server(self) -> None:
        # The original connects to the port that it was given, which is 0.
        port = self.server.sockets[0].getsockname()[1]
        self.port, before = port, self.port
        try:
            super()._trigger_server()
        finally:
            self.port = before


class HttpCatcher(ThreadingHTTPServer):
    """HTTP service that keeps requests, and answers with the next status."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Requests)
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.statuses: list[int] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Requests(BaseHTTPRequestHandler):
    server: HttpCatcher

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if status < 300:
            self.server.requests.append((self.path, {name.lower(): text for name, text in self.headers.items()}, body))
        self.send_response(status)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@contextmanager
def http_service() -> Iterator[HttpCatcher]:
    """Run an HTTP service on a free port of this host while the block runs."""
    with HttpCatcher() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
