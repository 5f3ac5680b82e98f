"""Contract of all notifiers."""

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elastic.config.settings import Settings
from elastic.hooks.connection import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Message about one notification, or digest of several. Secrets in it are masked."""

    #: hexadecimal; the same in each try to send the message
    key: str
    #: one line
    subject: str
    #: paragraphs, the first of which says what happened
    text: str
    #: minimal HTML with the same content
    html: str
    #: address of the page that shows it; empty if `web.base_url` is not set
    url: str
    created_at: dt.datetime
    #: one JSON object for each notification
    notices: Sequence[Mapping[str, Any]]


class Notifier(ABC):
    """Channel to one recipient. Creating one opens nothing.

    A plug-in of the group `elastic.notifiers` is a subclass under the name of the kind of its connections: the
    recipient `chat` of a DAG is the connection `chat`; if its URL is `telegraph://...`, the plug-in `telegraph` sends.

    Args:
        connection: The connection that the recipient names.
        settings: Settings of this installation.
    """

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self.connection, self.settings = connection, settings

    @abstractmethod
    def send(self, message: Message) -> str:
        """Send a message, and return a note for people, or an empty string.

        A sender calls it once for each try. It is called again with the same key if the sender was killed before it
        recorded the success, so the key should reach the other system. A sender stops it after a minute.

        Raises:
            RefusedMessageError: Another try cannot help.
            NotifierError: The message was not taken; a sender tries again later.
        """
