"""Redaction of secrets: names that suggest a secret, and URLs with a login."""

import re
from urllib.parse import unquote_plus

#: Replacement for a secret.
MASK = "***"

_NAMED = re.compile(
    r"pass|pwd|psw|secret|token|fernet|auth|credential|signature|(^|[_-])(sig|sas)$"
    r"|(api|private|ssl|tls|ssh|access|account|shared|storage|signing|encryption|client|server)[_-]?key",
    re.IGNORECASE,
)

#: A host with an optional port, without anything that could be a login.
_PLACE = re.compile(r"(\[[^\]@]*\]|[^:@\[\]]*)(:[0-9]*)?")
_SETTING = re.compile(r"([?&;#])([^=&;#]+)=([^&;#]*)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")

_ADVICE = "write / ? # @ : of a login, password or path as %2F %3F %23 %40 %3A"


def is_secret_name(name: str) -> bool:
    """Return whether a name suggests that its value is a secret."""
    return _NAMED.search(name) is not None


def problem_of(url: str) -> str:
    """Return why programs may read a URL in different ways; empty if they do not, or if the value is not a URL.

    An unescaped `/`, `?`, `#` or `@` in a password ends the host too early, and the rest may name another host.
    """
    _, slashes, rest = url.partition("://")
    if not slashes:
        return ""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if _CONTROL.search(url):
        return "contains a control character or a backslash; write it as %xx"
    if "#" in rest:
        return f"contains #; {_ADVICE}"
    if authority.count("@") > 1 or (authority and "@" in rest[len(authority) :]):
        return f"may be read in more than one way; {_ADVICE}"
    if any(found[1] == ";" and is_secret_name(unquote_plus(found[2])) for found in _SETTING.finditer(rest)):
        return "has a secret after ;, where only some programs look for settings; write settings after ? and &"
    return ""


def masked_url(url: str) -> str:
    """Return a URL for display, without its password and secret settings; a value that is not a URL is masked whole."""
    scheme, slashes, rest = url.partition("://")
    if not slashes:
        return MASK
    login, at, place = rest.rpartition("@")
    authority = re.split(r"[/?#]", place, maxsplit=1)[0]
    if not at and not _PLACE.fullmatch(authority):
        # A login without its host: the end of the password is unknown.
        return f"{scheme}://{MASK}"
    shown = _SETTING.sub(_masked_setting, place)
    if not at:
        return f"{scheme}://{shown}"
    user = login.partition(":")[0] if not problem_of(url) and ":" in login else ""
    return f"{scheme}://{user}{':' if user else ''}{MASK}@{shown}"


def _masked_setting(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}={MASK}" if is_secret_name(unquote_plus(found[2])) else found[0]
