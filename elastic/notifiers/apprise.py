"""All other services, by Apprise."""

import logging

from elastic.core.optional import missing_package
from elastic.core.text import one_line
from elastic.notifiers.errors import NotifierError, RefusedMessageError
from elastic.notifiers.notifier import Message, Notifier


class AppriseNotifier(Notifier):
    """Message to a service of Apprise, whose URL is the setting `secret_url` of a connection `apprise://?secret_url=`."""

    def send(self, message: Message) -> str:
        try:
            from apprise import Apprise
        except ModuleNotFoundError as error:
            raise NotifierError(missing_package(str(self.connection), "apprise", "notify")) from error
        url = self.connection.extra.get("secret_url")
        with _LastWarning() as log:
            service = Apprise()
            if not isinstance(url, str) or not service.add(url):
                raise RefusedMessageError(f"Apprise does not know the service of {self._id}: {self._masked(log.text)}.")
            body = message.text + (f"\n\n{message.url}" if message.url else "")
            if not service.notify(title=message.subject, body=body):
                raise NotifierError(f"the service of {self._id} did not take the message: {self._masked(log.text)}.")
        return ""

    @property
    def _id(self) -> str:
        return f"connection {self.connection.conn_id!r}"

    def _masked(self, text: str) -> str:
        return self.connection.masked(one_line(text.strip().removesuffix("."))) or "no reason was given"


class _LastWarning(logging.Handler):
    """Keeps the last warning of Apprise, which gives reasons only there."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()

    def __enter__(self) -> "_LastWarning":
        logging.getLogger("apprise").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("apprise").removeHandler(self)
