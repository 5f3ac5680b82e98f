"""Responses with an entity tag, which browsers do not fetch again while they have the same content (RFC 9110)."""

import hashlib
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

_DIGEST_CHARACTERS = 32


def conditional(
    request: Request, body: bytes, media_type: str, headers: Mapping[str, str] | None = None, *, digest: str = ""
) -> Response:
    """Return a body with its entity tag, or 304 if the client already has it.

    Args:
        request: The request.
        body: The content. The server compresses it, which makes the tag that the client gets a weak one.
        media_type: Media type of the content.
        headers: Further headers.
        digest: Digest of the content; by default, it is computed.
    """
    tag = f'"{digest or hashlib.sha256(body).hexdigest()[:_DIGEST_CHARACTERS]}"'
    headers = {**(headers or {}), "ETag": tag}
    if tag in tags_in(request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def tags_in(header: str) -> set[str]:
    """Return the entity tags in a header, without the marks of weak ones."""
    return {one.strip().removeprefix("W/") for one in header.split(",")}
