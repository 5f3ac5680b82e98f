"""OpenAPI description of the API."""

from typing import Any

from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import Response

from elastic.version import __version__
from elastic.web.api.answers import PREFIX, answer
from elastic.web.routes import GuardedRoute, Router
from elastic.web.security.rights import LEAST_ROLE, Right

router = Router(prefix=PREFIX, tags=["description"])


@router.get("/openapi.json", requires=Right.READ)
def openapi(request: Request) -> Response:
    """Return the description of the API."""
    return answer(request, describe(request.app.router.routes))


def describe(routes: list[Any]) -> dict[str, Any]:
    """Return the OpenAPI description of the routes of the API, each with the role that it needs."""
    found = [one for one in routes if isinstance(one, GuardedRoute) and one.path.startswith(PREFIX)]
    document = get_openapi(title="Elastic", version=__version__, description=_INTRODUCTION, routes=found)
    document.setdefault("components", {})["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"token": []}]
    for route in found:
        if not isinstance(route.requires, Right):
            continue
        for method in route.methods or ():
            document["paths"][route.path_format][method.lower()]["x-least-role"] = str(LEAST_ROLE[route.requires])
    return document


_INTRODUCTION = (
    "Send an API token in the header `Authorization: Bearer els_...`. Lists have `items` and the URL of the `next` "
    "page. Errors are problem documents (RFC 9457). A response to GET has an ETag."
)
