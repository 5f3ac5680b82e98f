"""Load a week of events into tables and statistics, twice, with a DAG whose first task is a flow.

python examples/event_pipeline.py       # dags/event_pipeline.py shows the shell commands
"""

import json
import os
import random
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from elastic.dag import DagBag
from elastic.hooks import SqlHook

FIRST, LAST = datetime(2016, 2, 21), datetime(2016, 2, 27)
ORGANIZATIONS, USERS = 3, 20
COUNTS = """select (select count(*) from user_event), (select count(*) from organization_event),
    (select count(*) from unknown_event), (select count(*) from organization_statistic)"""


def event_of(number: int, day: datetime) -> dict[str, Any]:
    event: dict[str, Any] = {"event_id": f"{day:%d}-{number}", "timestamp": f"{day:%Y-%m-%d} 12:{number % 60:02}:00"}
    match number % 10:
        case 0:
            return {**event, "event": "'; drop table user_event"}
        case 1:
            return {**event, "event": "file_support_ticket", "organization_id": random.randrange(ORGANIZATIONS)}
        case 2 | 3:
            return {**event, "event": "web_login", "user_id": random.randrange(USERS)}
    network = {"social_network_type": random.choice(["Facebook", "Twitter"])}
    return {**event, "event": "message_sent", "user_id": random.randrange(USERS), "extra_data": network}


def write_events(folder: Path) -> None:
    for day in (FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1)):
        events = [json.dumps(event_of(at, day)) + "\n" for at in range(500)]
        Path(folder, f"{day:%Y-%m-%d}.jsonl").write_text("".join(events) * 2)  # each event twice


def main() -> None:
    bag, hook = DagBag(Path(__file__).parent / "dags/event_pipeline.py"), SqlHook("warehouse")
    bag.get_dag("event_tables").run()
    hook.insert_rows("organization", [(one,) for one in range(ORGANIZATIONS)], ["organization_id"])
    members = [{"organization_id": user % ORGANIZATIONS, "user_id": user} for user in range(USERS)]
    hook.insert_rows("organization_user", members)
    for _ in range(2):
        bag.get_dag("event_pipeline").clear(FIRST, LAST)
        bag.get_dag("event_pipeline").run(FIRST, LAST)
        print("events of users, organizations, unknown; statistics:", hook.get_first(COUNTS))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        write_events(Path(folder))
        os.environ |= {"ELASTIC_HOME": folder, "ELASTIC_VAR_EVENTS": folder}
        os.environ["ELASTIC_CONN_WAREHOUSE"] = f"sqlite:///{folder}/warehouse.db"
        main()
