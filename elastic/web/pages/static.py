"""Static files and the icon."""

from starlette.requests import Request
from starlette.responses import Response

from elastic.web.conditional import conditional
from elastic.web.errors import NotFound
from elastic.web.routes import Router
from elastic.web.security.rights import PUBLIC
from elastic.web.static_files import static_files

router = Router()

#: Seconds for which browsers may cache a file whose URL has its digest.
_YEAR = 31_536_000


@router.get("/static/{name}", requires=PUBLIC)
async def static_file(request: Request, name: str, v: str = "") -> Response:
    """Send a static file from memory, without a thread of the pool."""
    found = static_files().get(name)
    if found is None:
        request.state.identity = None
        raise NotFound("static file", name)
    caching = f"public, max-age={_YEAR}, immutable" if v == found.digest else "no-cache"
    return conditional(request, found.content, found.media_type, {"Cache-Control": caching}, digest=found.digest)


@router.get("/favicon.ico", requires=PUBLIC)
async def icon() -> Response:
    """Send the icon to browsers that request it by its traditional name."""
    found = static_files()["icon.svg"]
    return Response(found.content, headers={"Cache-Control": "max-age=86400"}, media_type=found.media_type)
