"""Banners at the top of every page: problems of the service."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from elastic.core.errors import ElasticError
from elastic.db.page_queries.service_state import service_state
from elastic.web.context import WebContext
from elastic.web.secrets import masked_text

#: URL of the page that lists files that could not be loaded.
_ERRORS = "/browse/import-errors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """Sentence at the top of every page."""

    #: `bad` or `warn`
    kind: str
    #: first words, shown in bold, and the rest of the sentence
    head: str
    text: str
    #: start of the problem, shown after the head
    since: dt.datetime | None = None
    #: URL and text of a link; empty for none
    url: str = ""
    link: str = ""


def banners_of(context: WebContext, addresses: Collection[str]) -> list[Banner]:
    """Return the current banners, the worst first; `addresses` are the URLs of the pages that exist."""
    try:
        found = service_state(context.database, context.deployment.heartbeat)
    except ElasticError as error:
        return [Banner(kind="bad", head="The database is unavailable.", text=str(error))]
    banners = []
    if not found.has_living_master:
        banners.append(
            Banner(
                kind="bad",
                head="No master is alive since" if found.last_master_at else "No master has started yet.",
                since=found.last_master_at,
                text="Queued runs do not start. Start a master with elastic master, or elastic standalone.",
            )
        )
    if found.broken_files:
        count = "1 file is" if found.broken_files == 1 else f"{found.broken_files} files are"
        banners.append(
            Banner(
                kind="warn",
                head=f"{count} broken.",
                text=_located(found.broken_path, masked_text(found.broken_reason)),
                url=_ERRORS if _ERRORS in addresses else "",
                link="Show the traceback" if found.broken_files == 1 else "Show all",
            )
        )
    return banners


def _located(path: str, reason: str) -> str:
    """Return a reason with the path in front, which most reasons already have."""
    return reason if reason.startswith(path) else f"{path}: {reason}"
