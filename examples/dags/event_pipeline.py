"""Load the events of a product from daily JSON lines files into tables, and compute statistics per organization.

export ELASTIC_VAR_EVENTS=events ELASTIC_CONN_WAREHOUSE=sqlite:///warehouse.db
elastic run event_tables create 2016-02-21 -sd examples/dags
elastic backfill event_pipeline -s 2016-02-21 -e 2016-03-21 -sd examples/dags

Rows are upserted by key, so running a date again leaves the same rows.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from typing import Any

import elastic
from elastic import DAG, Flow, Result
from elastic.aggregators import Collect, GroupBy
from elastic.hooks import SqlHook
from elastic.operators import FlowOperator, PythonOperator, SqlOperator

#: Columns of an event beside id, timestamp and event, by table. An event belongs to the first table that fits.
KINDS: dict[str, Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]] = {
    "user_event": lambda event, extra: {
        "user_id": event["user_id"],
        "social_network_type": extra.get("social_network_type"),
    },
    "organization_payment": lambda event, extra: {
        "organization_id": event["organization_id"],
        "payment_amount": extra["payment_amount"],
        "payment_processor": extra["payment_processor"],
    },
    "organization_event": lambda event, extra: {"organization_id": event["organization_id"]},
}

#: Per organization: logins, and messages by network, of the last week and the last ten weeks; and the first event.
OF_USERS = """
    select o.organization_id, case when e.event = 'message_sent' then e.social_network_type end,
        sum(case when e.timestamp >= :week then 1 else 0 end),
        sum(case when e.timestamp >= :weeks then 1 else 0 end), min(e.timestamp)
    from user_event e join organization_user o on o.user_id = e.user_id
    where e.timestamp < :end and e.event in ('message_sent', 'web_login', 'ios_login', 'android_login')
    group by 1, 2
"""
AMOUNT_PAID = """
    select organization_id, sum(payment_amount) from organization_payment join organization using (organization_id)
    where timestamp >= :month and timestamp < :end group by organization_id
"""
SUPPORT_TICKETS = """
    select organization_id, count(*) from organization_event join organization using (organization_id)
    where timestamp >= :month and timestamp < :end and event = 'file_support_ticket' group by organization_id
"""


def row_of(event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the table of an event and its row in that table."""
    for table, own in KINDS.items():
        try:
            row = {"id": event["event_id"], "timestamp": event["timestamp"], "event": event["event"]}
            return table, {**row, **own(event, event.get("extra_data", {}))}
        except KeyError:
            continue
    body = json.dumps(event, sort_keys=True)
    return "unknown_event", {"id": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(), "body": body}


def events_of_day(ds: str, var: Any) -> Flow:
    """Return the flow that groups the events of a day by table."""
    return elastic.read_jsonl(f"{var['events']}/{ds}*").map(row_of).aggregate(GroupBy(Collect()))


def save(result: Result, ds: str) -> dict[str, int]:
    """Write the rows of a day and return the number of rows per table."""
    hook, tables = SqlHook("warehouse"), result.value
    for row in tables.get("unknown_event", ()):
        row["read_on"] = ds
    return {table: hook.upsert_rows(table, rows, key="id") for table, rows in sorted(tables.items())}


def statistics_of(day: date, hook: SqlHook) -> Iterator[tuple[int, str, float]]:
    """Yield the statistics of a day: organisation, name and value."""
    end = day + timedelta(days=1)
    last = day.replace(day=1) - timedelta(days=1)
    spans = {
        "end": end,
        "week": day - timedelta(days=6),
        "weeks": day - timedelta(days=69),
        "month": last.replace(day=min(day.day, last.day)) + timedelta(days=1),
    }
    instants = {name: instant.isoformat() for name, instant in spans.items()}
    for organization, network, week, weeks, first in hook.get_records(OF_USERS, instants):
        name = f"{network.lower()}_messages_sent" if network else "logins"
        average = f"average_weekly_{network.lower()}_messages_sent" if network else "average_weekly_logins"
        if week:
            yield organization, f"{name}_past_week", float(week)
        if weeks:
            age = datetime.combine(end, datetime.min.time()) - datetime.fromisoformat(first)
            yield organization, average, float(weeks) / min(math.ceil(age / timedelta(weeks=1)), 10)
    parameters = {name: instants[name] for name in ("month", "end")}
    for organization, amount in hook.get_records(AMOUNT_PAID, parameters):
        yield organization, "amount_paid_past_month", float(amount)
    for organization, tickets in hook.get_records(SUPPORT_TICKETS, parameters):
        yield organization, "num_support_tickets_past_month", float(tickets)


def count_day(ds: str) -> int:
    """Write the statistics of a day and return their number."""
    hook = SqlHook("warehouse")
    rows = [(one, ds, name, value) for one, name, value in statistics_of(date.fromisoformat(ds), hook)]
    key = ("organization_id", "day", "statistic")
    return hook.upsert_rows("organization_statistic", rows, key, (*key, "value"))


default_args = {"owner": "elastic", "start_date": datetime(2016, 2, 21), "conn_id": "warehouse", "retries": 3}

with DAG("event_tables", schedule="@once", default_args=default_args) as tables:
    SqlOperator(task_id="create", sql="event_tables.sql")

with DAG("event_pipeline", schedule="@daily", default_args=default_args, concurrency=4) as pipeline:
    load = FlowOperator(task_id="load", flow=events_of_day, on_result=save, options={"cluster": "inline"})
    load >> PythonOperator(task_id="count", python_callable=count_day, depends_on_past=True)
