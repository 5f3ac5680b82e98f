"""Client of a user of the web server."""

import re
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from elastic.db.stores.users import Role
from elastic.web.security.passwords import hash_password
from elastic.web.security.sessions import new_session_id

#: Password of every user of these tests, and its hash, which takes long to compute.
PASSWORD = "a long enough secret"
HASH = hash_password(PASSWORD)

BASE_URL = "http://127.0.0.1:8080"

_TOKEN = re.compile(r'name="csrf-token" content="([0-9a-f]{64})"')


#: Returns a client with a token: `api("operator")`.
Api = Callable[..., TestClient]


class WebClient(TestClient):
    """Client of a user: sends the origin of its pages, and posts forms with their token."""

    def __init__(self, app: FastAPI, role: Role | None) -> None:
        super().__init__(app, base_url=BASE_URL, follow_redirects=False, headers={"Origin": BASE_URL})
        self.role = role
        if role is not None:
            # Without the form, whose password takes long to verify.
            session_id = new_session_id()
            time = app.state.context.clock()
            app.state.sessions.open(session_id, str(role), "testclient", time, password_hash=HASH)
            self.cookies.set("elastic", session_id)

    @property
    def csrf_token(self) -> str:
        """The token of the pages of this user."""
        found = _TOKEN.search(self.get("/account").text)
        assert found is not None
        return found[1]

    def submit(self, url: str, **fields: Any) -> Any:
        """Post a form with its token."""
        return self.post(url, data={"csrf_token": self.csrf_token, **fields})

    def followed(self, url: str, **fields: Any) -> str:
        """Post a form, follow its redirect, and return the page."""
        answer = self.submit(url, **fields)
        assert answer.status_code == 303, answer.text
        return str(self.get(answer.headers["location"]).text)
