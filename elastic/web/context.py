"""Context of the web server: database, clock, settings and hosts for all pages."""

import datetime as dt
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from starlette.requests import Request

from elastic.config.settings import Settings, read_settings
from elastic.core.errors import UsageError
from elastic.db.database import Database
from elastic.db.open_database import hasty_database
from elastic.persistence.home import Home
from elastic.scheduler.deployment import Deployment

#: Host names of this machine, always allowed in the Host header.
LOOPBACK_HOSTS = frozenset(("127.0.0.1", "localhost", "::1"))


def utc_now() -> dt.datetime:
    """Return the current time, aware."""
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebContext:
    """Context of the web server."""

    database: Database
    settings: Settings
    deployment: Deployment
    #: folder of the runs of flows
    runs_folder: Path
    #: returns the time, aware
    clock: Callable[[], dt.datetime] = utc_now
    #: allowed names in the Host header, in lower case without ports
    hosts: frozenset[str] = LOOPBACK_HOSTS
    #: allowed origins besides that of the request, such as that of a proxy
    origins: frozenset[str] = field(default=frozenset())
    #: whether only users of this machine reach the pages, without a proxy that could serve others
    is_loopback: bool = True

    @classmethod
    def of(
        cls, settings: Settings | None = None, *, hosts: Collection[str] = (), is_loopback: bool = True
    ) -> "WebContext":
        """Return the context for some settings, by default those of this process.

        Args:
            settings: The settings.
            hosts: Names of the server besides those of the settings.
            is_loopback: Whether only users of this machine reach the pages.

        Raises:
            UsageError: The settings are invalid.
            DatabaseError: The database cannot be used.
        """
        found = settings or read_settings()
        # `of` has checked that the database answers and has the tables of this version.
        deployment = replace(Deployment.of(found), database=hasty_database(found))
        base = origin_of(found.text("web.base_url"))
        named = [name.strip().lower() for name in found.text("web.hosts").split(",") if name.strip()]
        return cls(
            database=deployment.database,
            settings=found,
            deployment=deployment,
            runs_folder=Home.of(os.environ).folder / "runs",
            hosts=LOOPBACK_HOSTS.union(map(str.lower, hosts), named, [urlsplit(base).hostname or ""] if base else []),
            origins=frozenset([base] if base else []),
            is_loopback=is_loopback,
        )


def origin_of(base_url: str) -> str:
    """Return the origin of `web.base_url`, or an empty string if it is not set.

    Raises:
        UsageError: The setting is not the URL of a web server.
    """
    if not base_url:
        return ""
    found = urlsplit(base_url)
    if found.scheme not in ("http", "https") or not found.hostname:
        raise UsageError(f"invalid web.base_url {base_url!r}; give one like https://elastic.example.org.")
    return f"{found.scheme}://{found.netloc.lower()}"


def context_of(request: Request) -> WebContext:
    """Return the context of the server that received a request."""
    context: WebContext = request.app.state.context
    return context


def address_of(request: Request) -> str:
    """Return the client address of a request, or an empty string."""
    return request.client.host if request.client else ""
