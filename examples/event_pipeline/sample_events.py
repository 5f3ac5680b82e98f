"""Generator of the demo's events: each day has the same number of each kind, and each event occurs twice."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

FIRST = date(2016, 2, 21)
DAYS = [FIRST + timedelta(days=number) for number in range(5)]

ORGANIZATIONS, USERS = 3, 20

#: Rows of each day by table.
ROWS = {"user_event": 350, "organization_payment": 50, "organization_event": 50, "unknown_event": 50}

#: Amount that no program should guess: is it twelve and a half, or more than a thousand?
POISON = "12,50"


def event_of(number: int, day: date) -> dict[str, Any]:
    """Return an event of a day."""
    event: dict[str, Any] = {"event_id": f"{day:%d}-{number}", "timestamp": f"{day} 12:{number % 60:02}:00"}
    of_organization = {"organization_id": number % ORGANIZATIONS}
    match number % 10:
        case 0:
            return {**event, "event": "'; DROP TABLE user_event"}
        case 1:
            return {**event, "event": "file_support_ticket", **of_organization}
        case 2:
            payment = {"payment_amount": 10.0, "payment_processor": "bank"}
            return {**event, "event": "payment", **of_organization, "extra_data": payment}
        case 3 | 4:
            return {**event, "event": "web_login", "user_id": number % USERS}
    network = {"social_network_type": "Facebook" if number % 2 else "Twitter"}
    return {**event, "event": "message_sent", "user_id": number % USERS, "extra_data": network}


def write_events(folder: Path, day: date, *, is_poisoned: bool = False) -> None:
    """Write two files with the events of a day; a poisoned one has a payment whose amount is no number."""
    events = [event_of(number, day) for number in range(500)]
    if is_poisoned:
        events[2]["extra_data"]["payment_amount"] = POISON
    lines = [json.dumps(event) + "\n" for event in events]
    (folder / f"{day}aa").write_text("".join(lines), encoding="utf-8")
    (folder / f"{day}ab").write_text("".join(lines[:2] + lines[3:]), encoding="utf-8")
