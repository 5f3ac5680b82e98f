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
    if tag in _known_tags(request):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def _known_tags(request: Request) -> set[str]:
    """Return the tags of the content that the client has, without the marks of weak ones."""
    given = request.headers.get("if-none-match", "")
    return {one.strip().removeprefix("W/") for one in given.split(",")}
