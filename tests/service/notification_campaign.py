"""Campaign of kills: task processes around their end, and senders of notifications. No mail may be lost.

python -m tests.service.notification_campaign 200
"""

import datetime as dt
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import update

from elastic.config.settings import read_settings
from elastic.db.schema import notification
from elastic.db.sql_clock import now
from elastic.db.stores.notifications import notifications
from elastic.scheduler.deployment import Deployment
from elastic.service.notification_sender import NotificationSender
from tests import command_process
from tests.command_process import end_all, ended, started
from tests.notifiers.catchers import MailCatcher, mail_server

#: Each run fails once: its process raises, or dies at a moment before, during or after the record of its end.
KILLED = """
import os, random, signal, threading
from elastic.dag import DAG
from elastic.operators import PythonOperator

def load(ds):
    kill = threading.Timer(random.uniform(0.0, 0.12), os.kill, (os.getpid(), signal.SIGKILL))
    kill.start()
    kill.join(0.05)
    raise ValueError(ds)

with DAG("etl", schedule="@hourly", start_date="2016-02-22", end_date="{end}", max_active_runs=8,
         default_args={{"email": "ops@example.org"}}) as dag:
    PythonOperator(task_id="load", python_callable=load)
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a campaign."""

    failed: int
    #: reasons of the failures: raised, or killed
    reasons: Counter[str]
    #: mails by Message-ID
    mails: Counter[str]
    killed_senders: int
    #: seconds from a failure to the record of its mail
    slowest: float


def campaign(home: Path, runs: int, *, kills_senders: bool) -> Outcome:
    """Let each of some runs fail under kills, and send the mails.

    Args:
        home: Home folder, which the environment names.
        runs: Number of runs.
        kills_senders: Send the mails by processes that are killed as well, instead of by the master.
    """
    (home / "dags").mkdir(exist_ok=True)
    end = dt.datetime(2016, 2, 22, tzinfo=dt.UTC) + dt.timedelta(hours=runs - 1)
    (home / "dags" / "etl.py").write_text(KILLED.format(end=f"{end:%Y-%m-%d %H:%M}"))
    with mail_server() as catcher:
        url = f"smtp://127.0.0.1:{catcher.port}"
        os.environ["ELASTIC__NOTIFY__MAX_PER_HOUR"] = str(10 * runs)
        os.environ["ELASTIC_CONN_SMTP_DEFAULT"] = "smtp://127.0.0.1:1" if kills_senders else url
        try:
            ended(started("master", "--once"))
            os.environ["ELASTIC_CONN_SMTP_DEFAULT"] = url
            killed = _send_under_kills(catcher, runs) if kills_senders else 0
        finally:
            end_all()
        rows = notifications(Deployment.of().database, limit=10_000)
        reasons = Counter("raised" if one.facts["reason"].startswith("ValueError") else "killed" for one in rows)
        slowest = max((one.sent_at - one.created_at).total_seconds() for one in rows if one.sent_at)
        mails = Counter(str(mail["Message-ID"]) for mail in catcher.mails)
        return Outcome(len(rows), reasons, mails, killed, slowest)


def _send_under_kills(catcher: MailCatcher, runs: int) -> int:
    """Send all mails by processes that are killed after a random time; return the number of kills."""
    killed = 0
    deadline = time.monotonic() + 600
    while any(one.state == "waiting" for one in notifications(Deployment.of().database, limit=10_000)):
        assert time.monotonic() < deadline
        with Deployment.of().database.begin() as connection:
            change = update(notification).where(notification.c.state == "waiting")
            connection.execute(change.values(next_try_at=now(-1.0)))
        pid = os.fork()
        if pid == 0:
            if killed < runs:
                threading.Timer(random.uniform(0.0, 0.15), os.kill, (os.getpid(), signal.SIGKILL)).start()
            NotificationSender(Deployment.of(), read_settings(), lambda _: None).send_due()
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        killed += os.WIFSIGNALED(status)
    return killed


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    command_process.LONGEST = 600
    for kills_senders in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            os.environ |= {"ELASTIC_HOME": folder, "ELASTIC__SMTP__FROM": "elastic@example.org"}
            found = campaign(Path(folder), runs, kills_senders=kills_senders)
        repeats = sum(found.mails.values()) - len(found.mails)
        sys.stdout.write(
            f"{runs} runs: {found.failed} notifications {dict(found.reasons)}, {len(found.mails)} different mails, "
            f"{repeats} repeats, {found.killed_senders} senders killed, slowest mail after {found.slowest:.1f} s\n"
        )


if __name__ == "__main__":
    main()
