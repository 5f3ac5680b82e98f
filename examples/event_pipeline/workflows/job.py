"""Jobs of the pipeline outside of a DAG: by a request with an answer, or by a command line."""

import argparse
import json
import signal
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from elastic.config.secret_mask import masked

#: Seconds that a job of a command line may take.
TIMEOUT_SECONDS = 5 * 60


def answer(work: Callable[[str], Any], request: dict[str, Any]) -> dict[str, Any]:
    """Do the work of a date, today by default, and return its result with code 200, or the error with code 500."""
    try:
        ds = date.fromisoformat(request.get("runDate") or datetime.now(UTC).date().isoformat()).isoformat()
        return {"code": 200, "runDate": ds, "result": work(ds)}
    except Exception as error:
        return {"code": 500, "error": masked(f"{type(error).__name__}: {error}")}


def run_job(handler: Callable[[dict[str, Any]], dict[str, Any]], doc: str | None) -> None:
    """Handle the request of a command line, print the answer, and exit with 1 unless its code is 200."""
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("-r", "--runDate", help="date of the events, YYYY-MM-DD; default: today")
    signal.signal(signal.SIGALRM, _stop)
    signal.alarm(TIMEOUT_SECONDS)
    given = handler(vars(parser.parse_args()))
    print(json.dumps(given))
    sys.exit(0 if given["code"] == 200 else 1)


def _stop(*_: Any) -> None:
    raise TimeoutError(f"the job took longer than {TIMEOUT_SECONDS} s")
