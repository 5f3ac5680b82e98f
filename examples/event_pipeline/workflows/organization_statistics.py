"""Compute the statistics of organizations for a day from the loaded events.

    python organization_statistics.py --runDate 2016-02-21

A week is the day and the six before, a month ends with the day, and averages look at ten weeks.
"""

import math
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from job import answer, run_job

from elastic.hooks import SqlHook

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


def handler(event: dict[str, Any], context: Any = None) -> dict[str, Any]:
    """Answer a request `{"runDate": "2016-02-21"}` with code 200 or 500."""
    return answer(count_day, event)


if __name__ == "__main__":
    run_job(handler, __doc__)
