"""Connections: addresses and credentials of other systems."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from elastic.config.secret_mask import secrets_in
from elastic.core.errors import UsageError
from elastic.core.redaction import MASK, masked_url, problem_of
from elastic.core.text import one_line

_ALIASES = {"postgres": "postgresql", "mariadb": "mysql", "sqlite3": "sqlite"}

#: Kinds whose URLs have a secret path, which becomes the password.
_SECRET_PATHS = ("slack+",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Address and credentials of a system. `repr` leaves out the password and the extra settings.

    The string form is a URL, `kind://login:password@host:port/schema?setting=value`, in which special characters are
    written as `%xx`. The schema of a file database is its path: `sqlite:////var/lib/words.db`.
    """

    #: empty for a connection made from a URL
    conn_id: str = ""
    #: the scheme of the URL: `postgresql`, `mysql`, `sqlite`, `duckdb`, `s3` and so on, a driver may follow a plus
    kind: str
    host: str | None = None
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    #: the name of the database, or the path of its file
    schema: str | None = None
    port: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)

    @classmethod
    def of_url(cls, url: str, conn_id: str = "") -> Self:
        """Parse a URL.

        Raises:
            UsageError: The URL is invalid or ambiguous. The message shows it without its password.
        """
        problem = problem_of(url) if isinstance(url, str) else ""
        if problem:
            raise _refusal(url, conn_id, problem)
        try:
            parts = urlsplit(url)
            port = parts.port
        except (ValueError, AttributeError, TypeError):
            raise _refusal(url, conn_id) from None
        if not parts.scheme or "://" not in url:
            raise _refusal(url, conn_id)
        extra = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        kind, schema, password = parts.scheme.lower(), unquote(parts.path[1:]) or None, _unquoted(parts.password)
        if kind.startswith(_SECRET_PATHS) and not password:
            schema, password = None, schema
        return cls(
            conn_id=conn_id,
            kind=kind,
            host=unquote(parts.hostname) if parts.hostname else None,
            login=_unquoted(parts.username),
            password=password,
            schema=schema,
            port=port,
            extra=extra,
        )

    @property
    def backend(self) -> str:
        """The kind without its driver, under its usual name."""
        name = self.kind.partition("+")[0]
        return _ALIASES.get(name, name)

    @property
    def url(self) -> str:
        """The URL with the password in plain text, which must not be logged."""
        return self._text(self.password, self.extra)

    @property
    def masked_url(self) -> str:
        """The URL with its secrets masked."""
        shown = {name: MASK if secrets_in(value, name) else value for name, value in self.extra.items()}
        return self._text(self.password and MASK, shown)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The password, and the secrets among the extra settings."""
        return tuple(value for value in (self.password, *secrets_in(self.extra, "")) if value)

    def masked(self, text: str) -> str:
        """Return a string with the secrets of this connection masked, in plain text and URL-encoded."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            for form in (secret, quote(secret, safe="")):
                text = text.replace(form, MASK)
        return text

    def __str__(self) -> str:
        return f"{self.conn_id} ({self.masked_url})" if self.conn_id else self.masked_url

    def __reduce__(self) -> tuple[Any, ...]:
        names = ("conn_id", "kind", "host", "login", "password", "schema", "port")
        return _rebuilt, ({**{name: getattr(self, name) for name in names}, "extra": dict(self.extra)},)

    def __post_init__(self) -> None:
        object.__setattr__(self, "extra", MappingProxyType(dict(self.extra)))

    def _text(self, password: str | None, extra: Mapping[str, Any]) -> str:
        user = "" if self.login is None else quote(self.login, safe="")
        if password:
            user += f":{password if password == MASK else quote(password, safe='')}"
        host = self.host or ""
        place = f"[{host}]" if ":" in host else quote(host, safe=".-_")
        port = "" if self.port is None else f":{self.port}"
        settings = f"?{urlencode(extra, safe='*')}" if extra else ""
        at = f"{user}@" if user else ""
        return f"{self.kind}://{at}{place}{port}/{quote(self.schema or '', safe='/:.-_')}{settings}"


def _rebuilt(fields: dict[str, Any]) -> Connection:
    return Connection(**fields)


def _unquoted(text: str | None) -> str | None:
    return None if text is None else unquote(text)


def _refusal(url: Any, conn_id: str, problem: str = "cannot be read") -> UsageError:
    """Return the error for an invalid URL, without its password."""
    of = f"of connection {conn_id!r} " if conn_id else ""
    shown = one_line(masked_url(url)) if isinstance(url, str) else type(url).__name__
    return UsageError(f"the URL {of}({shown}) {problem}; write it like postgresql://login:password@host/name.")
