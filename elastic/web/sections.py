"""Sections of pages: the tabs below Browse and Admin."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from elastic.web.security.identity import Identity
from elastic.web.security.rights import Right

#: Pages of each section: text, URL, and the right to see it.
SECTIONS: Mapping[str, Sequence[tuple[str, str, Right]]] = MappingProxyType(
    {
        "/browse": (
            ("Runs", "/browse/runs", Right.READ),
            ("Task instances", "/browse/instances", Right.READ),
            ("Jobs", "/browse/jobs", Right.READ),
            ("Backfills", "/browse/backfills", Right.READ),
            ("Notifications", "/browse/notifications", Right.READ),
            ("Log", "/browse/logs", Right.READ),
            ("Broken files", "/browse/import-errors", Right.READ),
        ),
        "/admin": (
            ("Connections", "/admin/connections", Right.READ_CONNECTIONS),
            ("Variables", "/admin/variables", Right.READ_VARIABLES),
            ("Pools", "/admin/pools", Right.READ),
            ("Users", "/admin/users", Right.MANAGE_USERS),
            ("API tokens", "/admin/tokens", Right.MANAGE_TOKENS),
            ("Audit", "/admin/audit", Right.READ_AUDIT),
            ("Settings", "/admin/settings", Right.READ_SETTINGS),
            ("Health", "/admin/health", Right.READ),
        ),
    }
)


def tabs_of(path: str, identity: Identity, addresses: Collection[str]) -> list[tuple[str, str, bool]]:
    """Return the tabs of the section of a page: text, URL, and whether the tab is the current one."""
    section = next((prefix for prefix in SECTIONS if path.startswith(prefix)), "")
    return [
        (text, url, path == url or path.startswith(f"{url}/"))
        for text, url, right in SECTIONS.get(section, ())
        if url in addresses and identity.may(right)
    ]
