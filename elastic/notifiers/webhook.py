"""Webhooks: JSON documents posted to a URL, and messages for Slack."""

import hashlib
import hmac
import time
from urllib.parse import quote

from elastic.hooks.connection import Connection
from elastic.notifiers.errors import RefusedMessageError
from elastic.notifiers.http_post import Endpoint, json_of
from elastic.notifiers.notifier import Message, Notifier

#: Characters of a message that Slack shows without a cut.
_MAX_SLACK_CHARACTERS = 3000


class WebhookNotifier(Notifier):
    """POST of the facts as JSON to a connection `webhook+https://:secret@host/path`.

    With a secret, the header `X-Elastic-Signature` is `sha256=` and the HMAC-SHA256 of the header
    `X-Elastic-Timestamp`, a dot and the body, in hexadecimal. `Idempotency-Key` is the same in each try.
    """

    def send(self, message: Message) -> str:
        found = self.connection
        body = json_of({"id": message.key, "subject": message.subject, "url": message.url, "notices": message.notices})
        headers = {"Idempotency-Key": message.key, "User-Agent": "elastic"}
        if found.password:
            timestamp = str(int(time.time()))
            headers |= {
                "X-Elastic-Timestamp": timestamp,
                "X-Elastic-Signature": signature(found.password, timestamp, body),
            }
        path = "/" + quote(found.schema or "", safe="/:.-_~")
        endpoint_of(found, path, may_be_private=self.settings.get("notify.private_targets")).post(body, headers)
        return ""


class SlackNotifier(Notifier):
    """Message for Slack, or a service that reads the same form, to a connection `slack+https://host/path`.

    The path is a secret: it is stored as the password of the connection.
    """

    def send(self, message: Message) -> str:
        title, text = _for_slack(message.subject), _for_slack(message.text)
        link = f"\n<{message.url}>" if message.url else ""
        body = json_of({"text": f"*{title}*\n{text[:_MAX_SLACK_CHARACTERS]}{link}"})
        path = "/" + (self.connection.password or self.connection.schema or "").lstrip("/")
        may_be_private = self.settings.get("notify.private_targets")
        endpoint_of(self.connection, path, may_be_private=may_be_private).post(body, {"User-Agent": "elastic"})
        return ""


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return the signature of a request, which its receiver computes again and compares in constant time."""
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def endpoint_of(connection: Connection, path: str, *, may_be_private: bool) -> Endpoint:
    """Return the address that a connection names, such as `webhook+https://host/path`.

    Raises:
        RefusedMessageError: It names no HTTP service.
    """
    scheme = connection.kind.partition("+")[2]
    if scheme not in ("http", "https") or not connection.host:
        raise RefusedMessageError(f"{connection} names no HTTP service; its URL begins like webhook+https://host/.")
    return Endpoint(scheme=scheme, host=connection.host, port=connection.port, path=path, may_be_private=may_be_private)


def _for_slack(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
