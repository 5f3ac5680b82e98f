"""Test of a connection in a process of its own, with a time limit."""

import json
import os
import subprocess
import sys
import threading

from starlette.requests import Request

from elastic.core.text import one_line
from elastic.db import audit
from elastic.web.context import context_of
from elastic.web.errors import Conflict
from elastic.web.secrets import masked_text

#: Module of the process, which imports hooks and drivers.
_PROCESS = "elastic.service.connection_check"
#: Seconds that a test may take.
LIMIT_SECONDS = 15.0
#: Tests at a time; each is a process.
_free = threading.BoundedSemaphore(2)


def may_test(request: Request) -> bool:
    """Return whether pages may test any connection."""
    return bool(context_of(request).settings.text("web.test_connections").strip())


def test_connection(request: Request, conn_id: str) -> tuple[bool, str]:
    """Return whether the system of a stored connection answers, and a sentence without secrets.

    Raises:
        Conflict: Tests are switched off, or too many run at the moment.
    """
    if not may_test(request):
        raise Conflict(
            "Pages must not test connections.",
            "An admin can name the allowed hosts in the setting web.test_connections.",
        )
    if not _free.acquire(blocking=False):
        raise Conflict("Two connections are being tested already.", "Try again in a few seconds.")
    try:
        ok, message = _tested(request, conn_id)
    finally:
        _free.release()
    audit.record(context_of(request).database, "connection tested", f"{conn_id}: {'answers' if ok else 'failed'}")
    return ok, message


def _tested(request: Request, conn_id: str) -> tuple[bool, str]:
    environment = {**os.environ, "ELASTIC_HOME": str(context_of(request).settings.home)}
    command = [sys.executable, "-P", "-m", _PROCESS, conn_id]
    try:
        done = subprocess.run(  # noqa: S603 - the command is made of a stored id
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False, f"The test took longer than {LIMIT_SECONDS:g} s and was stopped."
    try:
        found = json.loads(done.stdout.splitlines()[-1])
        ok, message = bool(found["ok"]), str(found["message"])
    except (ValueError, LookupError, TypeError):
        return False, f"The process of the test ended with status {done.returncode} and without a result."
    return ok, one_line(masked_text(message[:1].upper() + message[1:]))
