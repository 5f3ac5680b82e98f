"""Web app: pages and API behind one security middleware. `elastic.web.server` runs this ASGI app."""

import datetime as dt

from fastapi import APIRouter, FastAPI
from starlette.middleware.gzip import GZipMiddleware

from elastic.db.stores.sessions import SessionStore
from elastic.version import __version__
from elastic.web.api import administration, description
from elastic.web.api import backfills as api_backfills
from elastic.web.api import dags as api_dags
from elastic.web.api import flows as api_flows
from elastic.web.api import instances as api_instances
from elastic.web.api import records as api_records
from elastic.web.api import runs as api_runs
from elastic.web.api import search as api_search
from elastic.web.change_feed import ChangeFeed, ChangePoller
from elastic.web.context import WebContext
from elastic.web.errors import add_handlers, refused, unexpected
from elastic.web.pages import (
    account,
    api_tokens,
    backfill,
    browse,
    chunk,
    clear,
    connections,
    dag,
    dag_actions,
    dead_letters,
    events,
    flow_proof,
    flow_step,
    flows,
    grid,
    home,
    installation,
    log,
    login,
    mark_run,
    metrics,
    old_addresses,
    panel,
    pools,
    rerun,
    run,
    search,
    static,
    synergy,
    task_instance,
    trigger,
    users,
    variables,
)
from elastic.web.rendering import make_environment
from elastic.web.routes import GuardedRoute
from elastic.web.security.identity import SessionAuthenticator
from elastic.web.security.logins import Logins
from elastic.web.security.middleware import Shield
from elastic.web.security.passwords import absent_hash
from elastic.web.security.request_rates import RequestRates

#: Minimum size of a compressed response (bytes). Compression shrinks the list of 50 DAGs to a tenth.
_MIN_COMPRESSED = 4096

#: Routers of the pages.
PAGES: tuple[APIRouter, ...] = (
    static.router,
    login.router,
    account.router,
    events.router,
    home.router,
    search.router,
    old_addresses.router,
    synergy.router,
    dag_actions.router,
    flows.router,
    flow_step.router,
    chunk.router,
    dead_letters.router,
    flow_proof.router,
    dag.router,
    trigger.router,
    backfill.router,
    grid.router,
    panel.router,
    clear.router,
    mark_run.router,
    rerun.router,
    run.router,
    log.router,
    task_instance.router,
    browse.router,
    connections.router,
    variables.router,
    pools.router,
    users.router,
    api_tokens.router,
    installation.router,
)

#: Routers of the API.
API: tuple[APIRouter, ...] = (
    api_dags.router,
    api_runs.router,
    api_backfills.router,
    api_instances.router,
    api_flows.router,
    api_records.router,
    api_search.router,
    administration.router,
    description.router,
)


def create_app(context: WebContext) -> FastAPI:
    """Return the web app.

    Raises:
        TypeError: A route does not name the right that it requires.
    """
    app = FastAPI(title="Elastic", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.router.redirect_slashes = False
    is_open = context.deployment.settings["metrics.open_on_loopback"]
    for router in (*PAGES, metrics.open_router if is_open else metrics.router, *API):
        app.router.routes.extend(router.routes)
    check_routes(app)
    sessions = SessionStore(
        context.database,
        idle=dt.timedelta(seconds=context.settings.get("web.idle_timeout")),
        absolute=dt.timedelta(seconds=context.settings.get("web.absolute_timeout")),
    )
    app.state.context = context
    app.state.sessions = sessions
    app.state.authenticator = SessionAuthenticator(context.database, sessions, context.clock)
    app.state.logins = Logins(context.database, sessions, context.clock)
    app.state.rates = RequestRates()
    app.state.is_stopping = False
    app.state.feed = ChangeFeed(
        lambda: ChangePoller(context.database, context.runs_folder), lambda: bool(app.state.is_stopping)
    )
    app.state.templates = make_environment()
    app.state.addresses = frozenset(getattr(route, "path", "") for route in app.router.routes)
    add_handlers(app)
    app.add_middleware(GZipMiddleware, minimum_size=_MIN_COMPRESSED, compresslevel=5)
    app.add_middleware(Shield, refuse=refused, unexpected=unexpected)
    absent_hash()  # Hash now: the first login must not take longer than others.
    return app


def check_routes(app: FastAPI) -> None:
    """Check that each route names the right that it requires.

    Raises:
        TypeError: A route does not.
    """
    for route in app.router.routes:
        if not isinstance(route, GuardedRoute) or route.requires is None:
            path = getattr(route, "path", repr(route))
            raise TypeError(f"the route {path} names no right; use elastic.web.routes.Router with `requires=`.")
