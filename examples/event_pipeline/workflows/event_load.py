"""Load the events of a day from a bucket, `talk/2016/02/21/*.txt`, into a table for each kind.

    python event_load.py --runDate 2016-02-21

Rows are upserted by key, so loading a day again leaves the same rows. An event that fits no table is kept whole.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from job import answer, run_job

import elastic
from elastic import Flow, Result
from elastic.aggregators import Distinct, GroupBy
from elastic.hooks import SqlHook

#: An entry that fails is kept as a dead letter, and one of them fails the load.
LOAD_OPTIONS = {"cluster": "inline", "on_error": "dead-letter", "max_errors": 0}

#: Columns of an event beside id, timestamp and event, by table. An event belongs to the first table that fits.
KINDS: dict[str, Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]] = {
    "user_event": lambda event, extra: {
        "user_id": event["user_id"],
        "social_network_type": extra.get("social_network_type"),
    },
    "organization_payment": lambda event, extra: {
        "organization_id": event["organization_id"],
        "payment_amount": amount_of(extra["payment_amount"]),
        "payment_processor": extra["payment_processor"],
    },
    "organization_event": lambda event, extra: {"organization_id": event["organization_id"]},
}


def amount_of(value: float | str) -> float:
    """Return an amount of money."""
    return float(value)


def row_of(event: dict[str, Any]) -> tuple[str, str]:
    """Return the table of an event, and its row in that table as JSON."""
    for table, own in KINDS.items():
        try:
            row = {"id": event["event_id"], "timestamp": event["timestamp"], "event": event["event"]}
            return table, json.dumps({**row, **own(event, event.get("extra_data", {}))})
        except KeyError:
            continue
    body = json.dumps(event, sort_keys=True)
    digest = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
    return "unknown_event", json.dumps({"id": digest, "body": body})


def events_of_day(ds: str, var: Any) -> Flow:
    """Return the flow that groups the events of a day by table."""
    return rows_of(f"{var['events']}/{ds.replace('-', '/')}/*")


def rows_of(paths: str) -> Flow:
    """Return the flow that groups the events of some files by table."""
    return elastic.read_jsonl(paths).map(row_of).aggregate(GroupBy(Distinct()))


#: Target of `elastic dead-letters redrive RUN event_load.py:flow`, which reads no files.
flow = rows_of("*.txt")


def save(result: Result, ds: str) -> dict[str, int]:
    """Write the rows of a day and return the number of rows per table."""
    hook, saved = SqlHook("warehouse"), {}
    for table, texts in sorted(result.value.items()):
        rows = [json.loads(text) for text in sorted(texts)]
        if table == "unknown_event":
            rows = [{**row, "read_on": ds} for row in rows]
        saved[table] = hook.upsert_rows(table, rows, key="id")
    return saved


def load_day(ds: str) -> dict[str, int]:
    """Load a day in this process and return the number of rows per table."""
    import os

    return save(events_of_day(ds, {"events": os.environ["ELASTIC_VAR_EVENTS"]}).run(**LOAD_OPTIONS), ds)


def handler(event: dict[str, Any], context: Any = None) -> dict[str, Any]:
    """Answer a request `{"runDate": "2016-02-21"}` with code 200 or 500."""
    return answer(load_day, event)


if __name__ == "__main__":
    run_job(handler, __doc__)
