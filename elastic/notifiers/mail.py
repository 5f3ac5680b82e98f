"""Mail by SMTP."""

import smtplib
from collections.abc import Mapping, Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from typing import Any

from elastic.config.settings import Settings
from elastic.core.text import one_line, writable
from elastic.hooks.connection import Connection
from elastic.hooks.errors import HookError
from elastic.hooks.mail import SmtpHook, own_name
from elastic.notifiers.errors import NotifierError, RefusedMessageError
from elastic.notifiers.notifier import Message, Notifier


class MailNotifier(Notifier):
    """Mail through the server of a connection, as `SmtpHook` describes it.

    Args:
        connection: The mail server.
        settings: Settings of this installation.
        addresses: Recipients.
    """

    def __init__(self, connection: Connection, settings: Settings, addresses: Sequence[str]) -> None:
        super().__init__(connection, settings)
        self.addresses = tuple(addresses)
        self._server = SmtpHook(connection)

    def send(self, message: Message) -> str:
        mail = mail_of(message, sender_of(self.settings), self.addresses)
        try:
            with self._server.open() as server:
                refused = server.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            is_final = all(code >= 500 for code, _ in error.recipients.values())
            raise (RefusedMessageError if is_final else NotifierError)(
                f"the mail server {self._server.place} refused all recipients: {_shown(error.recipients)}."
            ) from error
        except smtplib.SMTPNotSupportedError as error:
            raise RefusedMessageError(
                f"the mail server {self._server.place} cannot take this mail: {error}."
            ) from error
        except smtplib.SMTPDataError as error:
            kind = RefusedMessageError if error.smtp_code >= 500 else NotifierError
            raise kind(f"the mail server {self._server.place} refused the mail: {_reply(error)}.") from error
        except smtplib.SMTPResponseException as error:
            raise NotifierError(f"the mail server {self._server.place} answered {_reply(error)}.") from error
        except (OSError, smtplib.SMTPException, HookError) as error:
            why = self.connection.masked(_sentence(error)).removesuffix(".")
            raise NotifierError(f"the mail server {self._server.place} cannot be used: {why}.") from error
        return f"refused: {_shown(refused)}" if refused else ""


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
    return settings.text("smtp.from") or f"elastic@{own_name()}"


def _shown(recipients: Mapping[str, tuple[int, Any]]) -> str:
    return "; ".join(f"{one} ({code} {_decoded(why)})" for one, (code, why) in sorted(recipients.items()))


def _reply(error: smtplib.SMTPResponseException) -> str:
    return f"{error.smtp_code} {_decoded(error.smtp_error)}"


def _decoded(text: Any) -> str:
    decoded = text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else str(text)
    return one_line(" ".join(decoded.split()))[:500]


def _sentence(error: Exception) -> str:
    return one_line(str(error) or type(error).__name__)
