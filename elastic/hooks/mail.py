"""Hook for mail servers."""

import contextlib
import ipaddress
import smtplib
import socket
import ssl

from elastic.core.text import error_text, one_line
from elastic.hooks.connection import Connection
from elastic.hooks.errors import HookError
from elastic.hooks.hook import ConnectionTest, Hook

#: Kinds of connections to mail servers, with the default port of each.
PORTS = {"smtp": 25, "smtps": 465}

#: Seconds that each operation on a socket may take.
TIMEOUT_SECONDS = 10.0

_STARTTLS = ("require", "if-offered", "no")


class SmtpHook(Hook):
    """Client of a mail server, `smtp://login:password@host:587?starttls=require` or `smtps://`.

    `starttls` is `require`, `if-offered` (the default) or `no`. A login is sent only over TLS or to this host.
    `tls_ca_file` names a file with the certificates of authorities.
    """

    @property
    def place(self) -> str:
        """Host and port of the server."""
        return f"{self.connection.host}:{self.connection.port or PORTS.get(self.connection.kind, 25)}"

    def open(self) -> smtplib.SMTP:
        """Return a session with the server, with TLS and a login as the connection asks for; the caller closes it.

        Raises:
            HookError: The connection is invalid, or the server does not offer what it asks for.
            OSError: The server cannot be reached.
            smtplib.SMTPException: The server refused.
        """
        found = self.connection
        if found.kind not in PORTS or not found.host:
            raise HookError(f"{found} is no mail server; its URL begins with smtp:// or smtps:// and has a host.")
        starttls = found.extra.get("starttls", "if-offered")
        if starttls not in _STARTTLS:
            raise HookError(f"starttls of {found} must be one of {', '.join(_STARTTLS)}.")
        context = ssl.create_default_context(cafile=found.extra.get("tls_ca_file"))
        port, name = found.port or PORTS[found.kind], own_name()
        if found.kind == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                found.host, port, local_hostname=name, timeout=TIMEOUT_SECONDS, context=context
            )
        else:
            server = smtplib.SMTP(found.host, port, local_hostname=name, timeout=TIMEOUT_SECONDS)
        try:
            _log_in(server, found, starttls, context)
        except BaseException:
            server.close()
            raise
        return server

    def test_connection(self) -> ConnectionTest:
        """Open a session and end it."""
        try:
            with self.open() as server:
                server.noop()
        except Exception as error:  # whatever is wrong is the answer
            return ConnectionTest(False, one_line(self.connection.masked(error_text(error))))
        return ConnectionTest(True, f"{self.connection} answers.")


def own_name() -> str:
    """Return the name of this host without a question to name servers, which may take long."""
    name = socket.gethostname()
    return name if name.isascii() and name else "localhost"


def _log_in(server: smtplib.SMTP, connection: Connection, starttls: str, context: ssl.SSLContext) -> None:
    is_secret = connection.kind == "smtps"
    server.ehlo_or_helo_if_needed()
    if not is_secret and starttls != "no":
        if server.has_extn("starttls"):
            server.starttls(context=context)
            server.ehlo()
            is_secret = True
        elif starttls == "require":
            raise HookError(f"the mail server of {connection} offers no STARTTLS, which its URL requires.")
    if connection.login:
        if not is_secret and not _is_this_host(server):
            raise HookError(
                f"the mail server of {connection} offers no TLS, and a login would cross the network in plain text."
            )
        server.login(connection.login, connection.password or "")


def _is_this_host(server: smtplib.SMTP) -> bool:
    with contextlib.suppress(OSError, ValueError):
        address = server.sock.getpeername()[0] if server.sock else ""
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    return False
