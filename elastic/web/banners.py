"""Banners: what is wrong with the service, on top of every page."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from elastic.core.errors import ElasticError
from elastic.db.page_queries.service_state import service_state
from elastic.web.context import WebContext
from elastic.web.secrets import masked_text

#: Page with the files that could not be loaded.
_ERRORS = "/browse/import-errors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """Sentence on top of every page."""

    #: `bad` or `warn`
    kind: str
    #: the sentence, with its first words apart, which are shown in bold
    head: str
    text: str
    #: when it began; the head ends before it
    since: dt.datetime | None = None
    #: link to more, with its text; empty for none
    url: str = ""
    link: str = ""


def banners_of(context: WebContext, addresses: Collection[str]) -> list[Banner]:
    """Return the banners of this moment, the worst first; `addresses` are those of the pages that exist."""
    try:
        found = service_state(context.database, context.deployment.heartbeat)
    except ElasticError as error:
        return [Banner(kind="bad", head="The database is away.", text=str(error))]
    banners = []
    if not found.has_living_master:
        banners.append(
            Banner(
                kind="bad",
                head="No master is alive since" if found.last_master_at else "No master is alive yet.",
                since=found.last_master_at,
                text="Runs are queued but do not start. Start a master with elastic master, or elastic standalone.",
            )
        )
    if found.broken_files:
        count = "1 file is" if found.broken_files == 1 else f"{found.broken_files} files are"
        banners.append(
            Banner(
                kind="warn",
                head=f"{count} broken.",
                text=f"{found.broken_path}: {masked_text(found.broken_reason)}",
                url=_ERRORS if _ERRORS in addresses else "",
                link="Show the traceback" if found.broken_files == 1 else "Show all",
            )
        )
    return banners
