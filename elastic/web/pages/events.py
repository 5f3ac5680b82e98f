"""Server-sent events: hints about changes for open pages."""

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from elastic.web.change_feed import MAX_TOPICS, ChangeFeed, is_topic
from elastic.web.errors import BadRequest, TooManyRequests
from elastic.web.routes import Router
from elastic.web.security.rights import Right

router = Router()


@router.get("/events", requires=Right.READ)
async def events(request: Request, topics: Annotated[str, Query(max_length=4000)] = "dags") -> Response:
    """Stream the hints of some topics, separated by spaces."""
    wanted = topics.split()
    unknown = next((topic for topic in wanted if not is_topic(topic)), None)
    if unknown is not None or not wanted or len(wanted) > MAX_TOPICS:
        raise BadRequest(
            f"There is no topic {unknown!r}." if unknown else f"A stream has 1 to {MAX_TOPICS} topics.",
            "Topics are dags, dag:ID, definition:ID, run:DAG/RUN, flow:RUN and admin.",
        )
    feed: ChangeFeed = request.app.state.feed
    if feed.is_full:
        raise TooManyRequests("Too many open pages follow changes.", "Close some pages.")
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(feed.hints(wanted), media_type="text/event-stream", headers=headers)
