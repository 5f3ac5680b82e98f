"""Rendering of pages: templates with the values that every page needs."""

import datetime as dt
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from elastic.core.errors import ElasticError
from elastic.version import __version__
from elastic.web.banners import banners_of
from elastic.web.conditional import conditional
from elastic.web.context import context_of
from elastic.web.flash import forget_message, message_of
from elastic.web.secrets import masked_text
from elastic.web.security.identity import Identity
from elastic.web.security.rights import Right
from elastic.web.static_files import static_url
from elastic.web.views import states, times

#: Cookie with the time zone of the browser, set by a script.
ZONE_COOKIE = "elastic_zone"

#: Entries of the navigation: text, URL, paths of its pages, and the right to see it. Of entries with the same text,
#: a user sees the first one that the role allows.
_NAVIGATION = (
    ("DAGs", "/", ("/dags",), Right.READ),
    ("Flows", "/flows", ("/flows",), Right.READ),
    ("Browse", "/browse/runs", ("/browse",), Right.READ),
    ("Admin", "/admin/connections", ("/admin",), Right.READ_CONNECTIONS),
    ("Admin", "/admin/pools", ("/admin",), Right.READ),
)


def render(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """Return a page.

    A template also knows: `identity`, `may(right)`, `csrf_token`, `navigation`, `zone`, `now`, `banners`, `flash`, `ui`
    (the macros of macros.html), `static(name)` and `url(path, **query)`.

    Args:
        request: The request.
        template: File name of the template.
        status: HTTP status.
        values: Values for the template.
    """
    environment: Environment = request.app.state.templates
    common = _common(request)
    common["ui"] = environment.get_template("macros.html").make_module(common)
    body = environment.get_template(template).render({**common, **values}).encode("utf-8", "backslashreplace")
    return _answer(request, body, status)


def make_environment() -> Environment:
    """Return the environment of the templates."""
    environment = Environment(
        loader=PackageLoader("elastic.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        static=static_url, url=url_of, sign_of=states.sign_of, Right=Right, version=__version__, duration=times.duration
    )
    environment.filters["grouped"] = lambda number: f"{number:,}"
    environment.filters["masked"] = masked_text
    environment.filters["segment"] = partial(quote, safe="")
    return environment


def url_of(path: str, **query: Any) -> str:
    """Return a URL with a query; values that are None, False or empty are omitted."""
    given = [
        (name, one) for name, value in query.items() for one in (value if isinstance(value, list | tuple) else [value])
    ]
    shown = [f"{quote(name)}={quote(str(one), safe='')}" for name, one in given if one not in (None, False, "")]
    return f"{path}?{'&'.join(shown)}" if shown else path


def zone_of(request: Request, identity: Identity | None) -> tuple[str, dt.tzinfo]:
    """Return the time zone in which a user reads times: the chosen one, else that of the browser or of the settings."""
    settings = context_of(request).settings
    names = (identity.zone if identity else None, request.cookies.get(ZONE_COOKIE), settings.text("web.timezone"))
    for name in names:
        found = times.zone_of(name)
        if name and found is not None:
            return name, found
    return "UTC", dt.UTC


def identity_of(request: Request) -> Identity | None:
    """Return the user of a request, or None."""
    if not hasattr(request.state, "identity"):
        try:
            request.state.identity = request.app.state.authenticator.identify(request)
        except ElasticError:
            request.state.identity = None
    identity: Identity | None = request.state.identity
    return identity


def _common(request: Request) -> dict[str, Any]:
    identity, now = identity_of(request), context_of(request).clock()
    zone_name, zone = zone_of(request, identity)
    return {
        "request_path": request.scope["path"],
        "identity": identity,
        "may": identity.may if identity else lambda right: False,
        "csrf_token": identity.csrf_token if identity else "",
        "navigation": _navigation(request, identity),
        "zone": zone_name,
        "now": now,
        "banners": banners_of(context_of(request), request.app.state.addresses) if identity else [],
        "flash": message_of(request),
        "full_time": lambda moment: times.full_time(moment, zone),
        "short_time": lambda moment: times.short_time(moment, zone, now),
        "relative_time": lambda moment: times.relative_time(moment, now),
        "utc_time": lambda moment: f"{moment.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}",
    }


def _navigation(request: Request, identity: Identity | None) -> list[Mapping[str, Any]]:
    if identity is None:
        return []
    addresses, path = request.app.state.addresses, request.scope["path"]
    found: dict[str, Mapping[str, Any]] = {}
    for text, url, prefixes, right in _NAVIGATION:
        if url in addresses and identity.may(right) and text not in found:
            is_current = path == url or any(path.startswith(one) for one in prefixes)
            found[text] = {"text": text, "url": url, "is_current": is_current}
    return list(found.values())


def _answer(request: Request, body: bytes, status: int) -> Response:
    """Return a page, or 304 if the browser already has it."""
    if request.method == "GET" and status == 200:
        response = conditional(request, body, "text/html")
    else:
        response = HTMLResponse(body, status)
    forget_message(request, response)
    return response
