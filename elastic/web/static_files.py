"""Static files: read once, served from memory, with a digest in the URL so that browsers may cache them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

_MEDIA_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """File that the server sends unchanged."""

    content: bytes
    media_type: str
    #: beginning of the SHA-256 of the content
    digest: str


@cache
def static_files() -> Mapping[str, StaticFile]:
    """Return the static files by name."""
    found = {}
    for path in resources.files("elastic.web").joinpath("static").iterdir():
        media_type = _MEDIA_TYPES.get(f".{path.name.rpartition('.')[2]}")
        if media_type is not None:
            content = path.read_bytes()
            found[path.name] = StaticFile(content, media_type, hashlib.sha256(content).hexdigest()[:16])
    return MappingProxyType(found)


def static_url(name: str) -> str:
    """Return the URL of a static file."""
    return f"/static/{name}?v={static_files()[name].digest}"
