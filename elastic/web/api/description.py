"""OpenAPI description of the API."""

from typing import Any

from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import Response

from elastic.version import __version__
from elastic.web.api.answers import FIELDS, PREFIX, ProblemDocument, answer
from elastic.web.routes import GuardedRoute, Router
from elastic.web.security.rights import LEAST_ROLE, Right

router = Router(prefix=PREFIX, tags=["description"])


@router.get("/openapi.json", requires=Right.READ, response_model=dict[str, Any])
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
            operation = document["paths"][route.path_format][method.lower()]
            operation["x-least-role"] = str(LEAST_ROLE[route.requires])
            _add_responses(operation, method)
    schemas = document["components"].setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["ProblemDocument"] = ProblemDocument.model_json_schema()
    return document


def _add_responses(operation: dict[str, Any], method: str) -> None:
    """Describe the responses that every operation has: errors, and 304 to a request with a known ETag."""
    responses = operation["responses"]
    responses.pop("422", None)
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    responses["default"] = {"description": "Error", "content": content}
    if method == "GET":
        responses["304"] = {"description": "The content is that of the ETag in `If-None-Match`"}
    if method == "GET" and "application/json" in responses.get("200", {}).get("content", {}):
        operation.setdefault("parameters", []).append(_FIELDS)


_FIELDS = {
    "name": FIELDS,
    "in": "query",
    "required": False,
    "schema": {"type": "string", "maxLength": 2000},
    "description": "names of the wanted fields, separated by commas; by default all",
}

_INTRODUCTION = (
    "Send an API token in the header `Authorization: Bearer els_...`. Lists have `items` and the URL of the `next` "
    "page. Errors are problem documents (RFC 9457). A response to GET has an ETag. A token may send 20 requests a "
    "second, and 40 at once. A request that changes something may have the header `Idempotency-Key`: a repetition with "
    "the same key within a day gets the first answer. One with `If-Match` is refused with 412 if a GET of its address "
    "no longer has that ETag. The query `fields=a,b` of a GET selects fields of the object, or of the items of a list."
)
