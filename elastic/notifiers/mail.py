"""Mail by SMTP."""

import contextlib
import ipaddress
import smtplib
import socket
import ssl
from collections.abc import Mapping, Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from typing import Any

from elastic.config.settings import Settings
from elastic.core.errors import ElasticError
from elastic.core.text import one_line, writable
from elastic.hooks.connection import Connection
from elastic.notifiers.errors import NotifierError, RefusedMessageError
from elastic.notifiers.notifier import TIMEOUT_SECONDS, Message, Notifier

#: Kinds of connections to mail servers, with the default port of each.
PORTS = {"smtp": 25, "smtps": 465}

_STARTTLS = ("require", "if-offered", "no")


class MailNotifier(Notifier):
    """Mail through the server of a connection, `smtp://login:password@host:587?starttls=require` or `smtps://`.

    `starttls` is `require`, `if-offered` (the default) or `no`. A login is sent only over TLS or to this host.
    `tls_ca_file` names a file with the certificates of authorities.

    Args:
        connection: The mail server.
        settings: Settings of this installation.
        addresses: Recipients.
    """

    def __init__(self, connection: Connection, settings: Settings, addresses: Sequence[str]) -> None:
        super().__init__(connection, settings)
        self.addresses = tuple(addresses)

    def send(self, message: Message) -> str:
        mail = mail_of(message, sender_of(self.settings), self.addresses)
        try:
            with open_server(self.connection) as server:
                refused = server.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            is_final = all(code >= 500 for code, _ in error.recipients.values())
            raise (RefusedMessageError if is_final else NotifierError)(
                f"the mail server {self._place} refused all recipients: {_shown(error.recipients)}."
            ) from error
        except smtplib.SMTPNotSupportedError as error:
            raise RefusedMessageError(f"the mail server {self._place} cannot take this mail: {error}.") from error
        except smtplib.SMTPDataError as error:
            kind = RefusedMessageError if error.smtp_code >= 500 else NotifierError
            raise kind(f"the mail server {self._place} refused the mail: {_reply(error)}.") from error
        except smtplib.SMTPResponseException as error:
            raise NotifierError(f"the mail server {self._place} answered {_reply(error)}.") from error
        except (OSError, smtplib.SMTPException) as error:
            raise NotifierError(
                f"the mail server {self._place} cannot be used: {self.connection.masked(_sentence(error))}."
            ) from error
        return f"refused: {_shown(refused)}" if refused else ""

    @property
    def _place(self) -> str:
        return f"{self.connection.host}:{self.connection.port or PORTS.get(self.connection.kind, 25)}"


def open_server(connection: Connection) -> smtplib.SMTP:
    """Return a session with a mail server, with TLS and a login as its connection asks for.

    Raises:
        NotifierError: The connection is invalid, or the server does not offer what it asks for.
        OSError: The server cannot be reached.
        smtplib.SMTPException: The server refused.
    """
    if connection.kind not in PORTS or not connection.host:
        raise NotifierError(f"{connection} is no mail server; its URL begins with smtp:// or smtps:// and has a host.")
    starttls = connection.extra.get("starttls", "if-offered")
    if starttls not in _STARTTLS:
        raise NotifierError(f"starttls of {connection} must be one of {', '.join(_STARTTLS)}.")
    context = ssl.create_default_context(cafile=connection.extra.get("tls_ca_file"))
    port = connection.port or PORTS[connection.kind]
    name = _own_name()
    if connection.kind == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            connection.host, port, local_hostname=name, timeout=TIMEOUT_SECONDS, context=context
        )
    else:
        server = smtplib.SMTP(connection.host, port, local_hostname=name, timeout=TIMEOUT_SECONDS)
    try:
        _log_in(server, connection, starttls, context)
    except BaseException:
        server.close()
        raise
    return server


def _log_in(server: smtplib.SMTP, connection: Connection, starttls: str, context: ssl.SSLContext) -> None:
    is_secret = connection.kind == "smtps"
    server.ehlo_or_helo_if_needed()
    if not is_secret and starttls != "no":
        if server.has_extn("starttls"):
            server.starttls(context=context)
            server.ehlo()
            is_secret = True
        elif starttls == "require":
            raise NotifierError(f"the mail server of {connection} offers no STARTTLS, which its URL requires.")
    if connection.login:
        if not is_secret and not _is_this_host(server):
            raise NotifierError(
                f"the mail server of {connection} offers no TLS, and a login would cross the network in plain text."
            )
        server.login(connection.login, connection.password or "")


def mail_of(message: Message, sender: str, addresses: Sequence[str]) -> EmailMessage:
    """Return a message as a mail in plain text and HTML. Its Message-ID is the same in each try."""
    mail = EmailMessage(policy=SMTP_POLICY)
    domain = sender.rpartition("@")[2]
    mail["Subject"] = one_line(writable(message.subject, 500))
    mail["From"] = Address(addr_spec=sender)
    mail["To"] = [Address(addr_spec=one) for one in addresses]
    mail["Date"] = message.created_at
    mail["Message-ID"] = f"<{message.key}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(writable(message.text))
    mail.add_alternative(writable(message.html), subtype="html")
    return mail


def sender_of(settings: Settings) -> str:
    """Return the sender's address of all mails."""
    return settings.text("smtp.from") or f"elastic@{_own_name()}"


def _own_name() -> str:
    # getfqdn() would ask name servers, which may take long.
    name = socket.gethostname()
    return name if name.isascii() and name else "localhost"


def _is_this_host(server: smtplib.SMTP) -> bool:
    with contextlib.suppress(OSError, ValueError):
        address = server.sock.getpeername()[0] if server.sock else ""
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    return False


def _shown(recipients: Mapping[str, tuple[int, Any]]) -> str:
    return "; ".join(f"{one} ({code} {_decoded(why)})" for one, (code, why) in sorted(recipients.items()))


def _reply(error: smtplib.SMTPResponseException) -> str:
    return f"{error.smtp_code} {_decoded(error.smtp_error)}"


def _decoded(text: Any) -> str:
    decoded = text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else str(text)
    return one_line(" ".join(decoded.split()))[:500]


def _sentence(error: Exception) -> str:
    return one_line(str(error) or type(error).__name__) if not isinstance(error, ElasticError) else str(error)
