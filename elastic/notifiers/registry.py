"""Notifiers by recipient: mail for `mailto:` URLs, and by the kind of the connection for all others."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from elastic.config.settings import Settings
from elastic.core.errors import ElasticError
from elastic.dag.recipients import MAILTO
from elastic.hooks.connection_lookup import connection
from elastic.notifiers.errors import NotifierError
from elastic.notifiers.mail import MailNotifier
from elastic.notifiers.notifier import Notifier
from elastic.plugins.plugin import find, names

_GROUP = "elastic.notifiers"

#: Module and class of each notifier of Elastic, by kind of the connection.
_NOTIFIERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "webhook": ("elastic.notifiers.webhook", "WebhookNotifier"),
        "slack": ("elastic.notifiers.webhook", "SlackNotifier"),
        "apprise": ("elastic.notifiers.apprise", "AppriseNotifier"),
    }
)


def notifier_of(recipient: str, settings: Settings) -> Notifier:
    """Return the notifier of a recipient.

    Args:
        recipient: A `mailto:` URL, or the id of a connection.
        settings: Settings of this installation.

    Raises:
        NotifierError: There is no such connection, or no notifier for its kind.
    """
    is_mail = recipient.startswith(MAILTO)
    conn_id = settings.text("smtp.conn_id") if is_mail else recipient
    try:
        found = connection(conn_id)
    except ElasticError as error:
        what = f"the mail server, connection {conn_id!r} (smtp.conn_id)," if is_mail else f"the recipient {conn_id!r}"
        raise NotifierError(f"{what} cannot be used: {error}") from error
    if is_mail:
        return MailNotifier(found, settings, recipient.removeprefix(MAILTO).split(","))
    kind = found.kind.partition("+")[0]
    notifier = _class_of(kind)
    if notifier is None:
        known = ", ".join(sorted({*_NOTIFIERS, *names(_GROUP)}))
        raise NotifierError(f"no notifier has the kind {kind!r} of connection {conn_id!r}; use one of {known}.")
    return notifier(found, settings)


def _class_of(kind: str) -> type[Notifier] | None:
    """Return the class of notifiers of a kind; those of Elastic win over plug-ins.

    Raises:
        PluginError: The plug-in of this name cannot be loaded.
    """
    if kind in _NOTIFIERS:
        module, name = _NOTIFIERS[kind]
        own: type[Notifier] = getattr(import_module(module), name)
        return own
    found = find(_GROUP, kind)
    if found is not None and not (isinstance(found, type) and issubclass(found, Notifier)):
        raise NotifierError(f"the plug-in {kind!r} ({_GROUP}) is no subclass of Notifier; correct it or remove it.")
    return found
