"""Kinds of connections that Elastic knows, and the extra settings of each, as data that pages can show."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from elastic.core.errors import UsageError
from elastic.core.suggest import closest_name


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraField:
    """Extra setting of a kind of connections."""

    name: str
    #: str, int, float or bool
    type: str = "str"
    is_secret: bool = False
    #: one sentence
    doc: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionKind:
    """Kind of connections."""

    #: one phrase
    doc: str
    fields: Sequence[ExtraField] = ()
    #: whether other extra settings are allowed, which the driver of the system checks
    is_open: bool = False


_SMTP_FIELDS = (
    ExtraField(name="tls_ca_file", doc="File with the certificates of the authorities to trust."),
    ExtraField(name="starttls", doc="require, if-offered or no."),
)

#: Kinds by name; the part of a kind after a plus is left out.
KINDS: Mapping[str, ConnectionKind] = MappingProxyType(
    {
        "postgresql": ConnectionKind(doc="PostgreSQL", is_open=True),
        "mysql": ConnectionKind(doc="MySQL or MariaDB", is_open=True),
        "mariadb": ConnectionKind(doc="MariaDB", is_open=True),
        "sqlite": ConnectionKind(doc="file of SQLite", is_open=True),
        "duckdb": ConnectionKind(doc="file of DuckDB", is_open=True),
        "smtp": ConnectionKind(doc="mail server", fields=_SMTP_FIELDS),
        "smtps": ConnectionKind(doc="mail server with TLS from the start", fields=_SMTP_FIELDS[:1]),
        "webhook": ConnectionKind(doc="webhook+https: service that receives notifications; the password signs them"),
        "slack": ConnectionKind(doc="slack+https: channel of Slack; the password is the path of its URL"),
        "apprise": ConnectionKind(
            doc="any service of Apprise",
            fields=(ExtraField(name="secret_url", is_secret=True, doc="URL of the service, as Apprise writes it."),),
        ),
        "s3": ConnectionKind(doc="S3 and services like it", is_open=True),
        "http": ConnectionKind(doc="HTTP service", is_open=True),
        "https": ConnectionKind(doc="HTTP service with TLS", is_open=True),
    }
)


def check_extra(conn_id: str, kind: str, given: Iterable[str]) -> None:
    """Check the names of the extra settings of a connection. Those of an unknown kind are not checked.

    Raises:
        UsageError: The kind has no setting of a name; the error names the most similar one.
    """
    found = KINDS.get(kind.partition("+")[0])
    if found is None or found.is_open:
        return
    known = [one.name for one in found.fields]
    for name in given:
        if name not in known:
            near = closest_name(name, known)
            hint = f"did you mean {near!r}?" if near else f"it has {', '.join(known) or 'none'}."
            raise UsageError(f"connection {conn_id!r} of the kind {kind!r} has no extra setting {name!r}; {hint}")
