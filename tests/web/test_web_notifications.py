"""Notifications: their page, their list in the API, and the link of a mail."""

import html
import json
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from sqlalchemy import insert

from elastic.config.secret_mask import hide
from elastic.config.settings import read_settings
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.db import transitions
from elastic.db.database import Database
from elastic.db.records import AttemptResult, Claim, DagRun, QueueRequest
from elastic.db.schema import notification
from elastic.db.sql_clock import now
from elastic.db.stores.notifications import notifications
from elastic.scheduler.deployment import Deployment
from elastic.service.notification_text import message_of
from tests.web.web_client import PASSWORD, Api, WebClient
from tests.web.web_samples import store_dag, store_run

Web = Callable[[str | None], WebClient]


def add(database: Database, run: DagRun, count: int = 1, attempt_uuid: str | None = None, **changes: object) -> None:
    facts = {"logical_date": run.logical_date.isoformat(), "timezone": "UTC", "try_number": 1, "max_tries": 1}
    rows = [
        {
            "dedup_key": f"{number:064x}",
            "message_key": f"{number:064x}",
            "event": "failed",
            "recipient": "mailto:ops@example.org",
            "dag_id": run.dag_id,
            "run_id": run.run_id,
            "task_id": "first",
            "map_index": -1,
            "subject": f"[elastic] failed: <b>{number}</b>",
            "facts": json.dumps({**facts, "attempt_uuid": attempt_uuid}),
            "state": "waiting",
            "tries": 0,
            **changes,
        }
        for number in range(count)
    ]
    with database.begin() as connection:
        connection.execute(insert(notification).values(created_at=now(), next_try_at=now()), rows)


def test_notifications_are_listed_latest_first_with_their_errors(web: Web, api: Api, web_database: Database) -> None:
    hide("hidden-word")
    run = store_run(web_database, "etl", tasks=[("first", TaskState.FAILED)])
    add(web_database, run, 60, last_error="refused: hidden-word <i>", state="failed")
    page = web("viewer").get("/browse/notifications?state=failed&dag=etl").text
    assert "failed: &lt;b&gt;59&lt;/b&gt;" in page
    assert "refused: *** &lt;i&gt;" in page
    assert f'href="/dags/etl/runs/{run.run_id}/tasks/first"' in page
    assert page.count('<tr id="row-') == 50
    following = re.search(r'href="([^"]+)" rel="next"', page)
    assert following is not None
    assert web("viewer").get(html.unescape(following[1])).text.count('<tr id="row-') == 10
    assert "Nothing matches" in web("viewer").get("/browse/notifications?state=sent").text
    found = api("viewer").get("/api/v1/notifications?state=failed&limit=2").json()
    assert [one["subject"] for one in found["items"]] == [f"[elastic] failed: <b>{number}</b>" for number in (59, 58)]
    assert found["items"][0]["last_error"] == "refused: *** <i>"
    assert len(api("viewer").get(found["next"]).json()["items"]) == 2


def test_the_link_of_a_mail_opens_the_failed_try_after_the_login(web: Web, web_database: Database) -> None:
    store_dag(web_database, "etl")
    run = store_run(web_database, "etl", tasks=[("first", None)])
    key = TaskKey("etl", run.run_id, "first")
    for uuid, state in (("a1", TaskState.UP_FOR_RETRY), ("a2", TaskState.FAILED)):
        transitions.queue(web_database, QueueRequest(key=key, attempt_uuid=uuid))
        claim = Claim(key=key, attempt_uuid=uuid, host="here", pid=1, lease_owner="me", lease=60)
        assert transitions.claim(web_database, claim)
        result = AttemptResult(attempt_uuid=uuid, state=state, error=f"ValueError: {uuid}", retry_in=0.0)
        assert transitions.finish(web_database, result)
    add(web_database, run, attempt_uuid="a2")
    environment = {"ELASTIC_HOME": str(read_settings().home), "ELASTIC__WEB__BASE_URL": "https://testserver"}
    message = message_of(notifications(web_database), Deployment.of(), read_settings(environment))
    link = urlsplit(message.url)
    assert (link.netloc, link.query) == ("testserver", "try=2")
    client = web(None)
    asked = client.get(f"{link.path}?{link.query}")
    form = client.get(asked.headers["location"]).text
    (target,) = re.findall(r'name="next" value="([^"]+)"', form)
    done = client.post("/login", data={"username": "viewer", "password": PASSWORD, "next": html.unescape(target)})
    assert done.headers["location"] == f"{link.path}?{link.query}"
    page = client.get(done.headers["location"])
    assert page.status_code == 200
    assert "ValueError: a2" in page.text
