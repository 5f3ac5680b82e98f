"""Idempotency keys: an unsafe request of the API that is repeated with its key gets the first answer again.

Only answers of success are kept; a failed request changed nothing, so that its repetition is tried again.
"""

import hashlib
import json
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from elastic.db.stores.idempotency_keys import IdempotencyKeyStore, KeptAnswer
from elastic.web.context import context_of
from elastic.web.errors import BadRequest, Conflict, UnprocessableRequest

#: Header with a key that the client chose.
KEY_HEADER = "Idempotency-Key"
#: Maximum number of characters of a key.
_MAX_KEY = 255
#: Headers that are kept with an answer.
_KEPT_HEADERS = ("content-type", "location", "etag")


async def answer_once(
    request: Request, username: str, key: str, handle: Callable[[Request], Coroutine[Any, Any, Response]]
) -> Response:
    """Answer a request unless it was answered before with the same key; then return that answer.

    Raises:
        BadRequest: The key is not valid.
        UnprocessableRequest: The key belongs to another request.
        Conflict: The first request with this key has not ended, or its process ended without an answer.
    """
    if not 1 <= len(key) <= _MAX_KEY or not key.isascii() or not key.isprintable():
        raise BadRequest(
            f"The header {KEY_HEADER} is not valid.",
            f"Send 1 to {_MAX_KEY} printable ASCII characters, such as a UUID.",
        )
    context = context_of(request)
    store = IdempotencyKeyStore(context.database)
    digest = hashlib.sha256(f"{username}\0{key}".encode()).hexdigest()
    given = await _digest_of(request)
    kept = await run_in_threadpool(store.begin, digest, given, context.clock())
    if kept is not None:
        return _repeated(kept, given)
    try:
        response = await handle(request)
    except Exception:
        await run_in_threadpool(store.forget, digest)
        raise
    if response.status_code >= HTTPStatus.MULTIPLE_CHOICES:
        await run_in_threadpool(store.forget, digest)
        return response
    headers = {name: value for name, value in response.headers.items() if name in _KEPT_HEADERS}
    body = bytes(response.body).decode()
    await run_in_threadpool(store.finish, digest, response.status_code, json.dumps(headers), body)
    return response


async def _digest_of(request: Request) -> str:
    """Return the digest of method, path, query and body."""
    body = await request.body()
    parts = (request.method.encode(), request.scope["raw_path"], request.scope["query_string"], body)
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).hexdigest()


def _repeated(kept: KeptAnswer, given: str) -> Response:
    if kept.request_digest != given:
        raise UnprocessableRequest(
            f"Another request was sent with this {KEY_HEADER}.", "Choose a new key for each request."
        )
    if kept.status is None:
        raise Conflict(
            f"The first request with this {KEY_HEADER} has not ended.",
            "Repeat it in a moment. If that does not help, check what it did, and choose a new key.",
        )
    headers = {**json.loads(kept.headers or "{}"), "Idempotency-Replayed": "true"}
    return Response((kept.body or "").encode(), kept.status, headers)
