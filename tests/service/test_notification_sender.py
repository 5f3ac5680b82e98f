"""The sender of notifications: tries, digests, two senders, kills, and the commands."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from notification_campaign import campaign
from service_samples import dag_file, database, served
from sqlalchemy import insert, update

from elastic.config.settings import read_settings
from elastic.db.schema import notification
from elastic.db.sql_clock import now
from elastic.db.stores import notifications as outbox
from elastic.scheduler.deployment import Deployment
from elastic.service.notification_sender import NotificationSender
from tests.command_process import end_all, ended, started
from tests.notifiers.catchers import MailCatcher, mail_server

FACTS = {"logical_date": "2016-02-22T00:00:00+00:00", "timezone": "UTC", "map_index": -1, "try_number": 4}
FACTS |= {"max_tries": 4, "attempt_uuid": None, "reason": "ValueError: <no> file", "host": "here", "run_attempt": 1}


@pytest.fixture
def mail(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailCatcher]:
    """A mail server that the settings name; no process is left."""
    monkeypatch.setenv("ELASTIC__SCHEDULER__LOOP_INTERVAL", "0.2")
    monkeypatch.setenv("ELASTIC__SMTP__FROM", "elastic@example.org")
    monkeypatch.setenv("ELASTIC__WEB__BASE_URL", "https://elastic.example.org")
    with mail_server() as catcher:
        monkeypatch.setenv("ELASTIC_CONN_SMTP_DEFAULT", f"smtp://127.0.0.1:{catcher.port}")
        yield catcher
    end_all()


def add(count: int = 1, *, first: int = 0, **changes: Any) -> None:
    """Put notifications into the outbox."""
    rows = [
        {
            "dedup_key": f"{number:064x}",
            "message_key": f"{number:064x}",
            "event": "failed",
            "recipient": "mailto:ops@example.org",
            "dag_id": "etl",
            "run_id": "r1",
            "task_id": "load",
            "map_index": -1,
            "subject": f"[elastic] failed: etl.load number {number}",
            "facts": json.dumps(FACTS),
            "state": "waiting",
            "tries": 0,
            **changes,
        }
        for number in range(first, first + count)
    ]
    with database().begin() as connection:
        connection.execute(insert(notification).values(created_at=now(), next_try_at=now()), rows)


def sender(said: list[str] | None = None) -> NotificationSender:
    return NotificationSender(Deployment.of(), read_settings(), [].append if said is None else said.append)


def states() -> list[tuple[str, int, str | None]]:
    return [(one.state, one.tries, one.last_error) for one in reversed(outbox.notifications(database()))]


def pass_time(seconds: float) -> None:
    """Let waiting notifications have been created, and be due, earlier."""
    with database().begin() as connection:
        change = update(notification).where(notification.c.state == "waiting")
        connection.execute(change.values(next_try_at=now(-1.0), created_at=now(-seconds)))


def test_a_mail_says_what_failed_and_why_with_a_link(mail: MailCatcher) -> None:
    add()
    assert sender().send_due() == {"sent": 1}
    (found,) = mail.mails
    text, html = (part.get_content() for part in found.iter_parts())  # type: ignore[attr-defined]
    assert "Task load of DAG etl for 2016-02-22 failed without a try." in text
    assert "Reason: ValueError: <no> file" in text
    assert "https://elastic.example.org/dags/etl/runs/r1/tasks/load" in text
    assert "ValueError: &lt;no&gt; file" in html
    assert sender().send_due() == {}


def test_a_server_that_is_away_is_tried_again_for_a_day(mail: MailCatcher) -> None:
    add()
    said: list[str] = []
    mail.replies = ["451 later", "451 later", "451 later"]
    assert sender(said).send_due() == {"waiting": 1}
    assert sender().send_due() == {}, "the next try is in 5 s"
    pass_time(60)
    assert sender(said).send_due() == {"waiting": 1}
    assert len(said) == 1
    ((state, tries, error),) = states()
    assert (state, tries) == ("waiting", 2)
    assert error is not None
    assert "451 later" in error
    pass_time(90_000)
    assert sender(said).send_due() == {"failed": 1}
    assert "is given up: " in said[-1]
    assert outbox.retry(database()) == 1
    assert sender().send_due() == {"sent": 1}
    assert [one["Message-ID"] for one in mail.mails] == [f"<{0:064x}@example.org>"]


def test_a_server_that_sends_a_byte_now_and_then_is_given_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elastic.service.notification_sender._DELIVERY_SECONDS", 0.3)
    is_over = threading.Event()

    def dribble(listener: socket.socket) -> None:
        client, _ = listener.accept()
        with client, contextlib.suppress(OSError):
            client.sendall(b"220 hello\r\n")
            while not is_over.wait(0.05):
                client.sendall(b"2")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("ELASTIC_CONN_SMTP_DEFAULT", f"smtp://127.0.0.1:{listener.getsockname()[1]}")
        server = threading.Thread(target=dribble, args=(listener,))
        server.start()
        try:
            add()
            said: list[str] = []
            assert sender(said).send_due() == {"waiting": 1}
        finally:
            is_over.set()
            server.join()
    assert "waits 5 s for its next try: the delivery took longer than 0.3 s and was stopped." in said[0]


def test_a_refusal_of_all_recipients_is_final_and_one_of_some_is_noted(mail: MailCatcher) -> None:
    mail.refused = {"bad@example.org": "550 no such user"}
    add(recipient="mailto:bad@example.org")
    add(first=1, recipient="mailto:ops@example.org,bad@example.org")
    assert sender().send_due() == {"sent": 1, "failed": 1}
    (first, _, refusal), (second, _, note) = states()
    assert (first, second) == ("failed", "sent")
    assert (refusal or "").endswith("refused all recipients: bad@example.org (550 no such user).")
    assert note == "refused: bad@example.org (550 no such user)"


def test_many_notifications_to_one_recipient_become_one_digest(
    mail: MailCatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELASTIC__NOTIFY__MAX_PER_HOUR", "2")
    add(300)
    assert sender().send_due() == {"sent": 2}
    pass_time(61)
    mail.replies = ["451 later"]
    assert sender().send_due() == {"waiting": 298}
    add(5, first=300)
    pass_time(61)
    assert sender().send_due() == {"sent": 298}, "the digest stays as it was, and the next one has to wait"
    digest = mail.mails[-1]
    assert digest["Subject"] == "[elastic] 298 notifications"
    assert "failed: etl.load number 2  https://elastic.example.org/dags/etl" in _text(digest)
    assert len(mail.mails) == 3
    assert [state for state, _, _ in states()].count("waiting") == 5


def test_a_message_is_taken_by_one_sender_and_again_after_its_lease(mail: MailCatcher) -> None:
    add()
    first = outbox.take_message(database(), 60)
    assert [one.tries for one in first] == [1]
    assert outbox.take_message(database(), 60) == []
    assert outbox.due_now(database()) == 0, "a sender works on it"
    pass_time(0)
    (second,) = outbox.take_message(database(), 60)
    assert (second.tries, second.message_key) == (2, first[0].message_key)
    outbox.record_sent(database(), first, "late")
    assert states()[0][:2] == ("waiting", 2), "the first sender has lost it"


def _text(mail: Any) -> str:
    return str(mail.get_body(("plain",)).get_content())


FAILING = """
import os, signal, sys
from elastic.dag import DAG
from elastic.operators import PythonOperator

def load(ds, try_number):
    print("the password is hunter2-hunter2")
    if ds in ("2016-02-22", "2016-02-24"):
        os.kill(os.getpid(), signal.SIGKILL)
    raise ValueError(f"no file for {{ds}} caf\\udce9 <b>")

with DAG({dag_id!r}, schedule="@daily", start_date={start!r}, end_date={end!r}, notify="mailto:team@example.org",
         default_args={{"email": ["ops@example.org"], "retries": 3, "retry_delay": 0.01}}) as dag:
    PythonOperator(task_id="load", python_callable=load)
"""


def test_a_master_sends_one_mail_for_each_task_that_failed_after_its_retries(
    mail: MailCatcher, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELASTIC_CONN_OTHER", "postgresql://me:hunter2-hunter2@host/name")
    dag_file(home, "etl", days=2, text=FAILING)
    served()
    found = sorted((mail["Subject"], mail["To"], _text(mail)) for mail in mail.mails)
    assert [(subject, to) for subject, to, _ in found] == [
        ("[elastic] failed: etl.load 2016-02-22 (try 4 of 4)", "ops@example.org"),
        ("[elastic] failed: etl.load 2016-02-23 (try 4 of 4)", "ops@example.org"),
        ("[elastic] failed: run of etl 2016-02-22", "team@example.org"),
        ("[elastic] failed: run of etl 2016-02-23", "team@example.org"),
    ]
    killed, raised, run = found[0][2], found[1][2], found[2][2]
    assert "killed by SIGKILL" in killed or "signal" in killed.lower()
    assert "Reason: ValueError: no file for 2016-02-23 caf\\udce9 <b>" in raised
    assert "/tasks/load?try=4" in raised
    assert "the password is ***" in raised
    assert "hunter2" not in "".join(text for _, _, text in found)
    assert "Failed tasks: load." in run


def test_a_master_that_runs_once_ends_although_the_mail_server_is_away(
    mail: MailCatcher, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELASTIC_CONN_SMTP_DEFAULT", "smtp://127.0.0.1:1")
    monkeypatch.setattr("tests.command_process.LONGEST", 60)
    dag_file(home, "empty", days=1)
    add(30)
    for number in range(30):
        with database().begin() as connection:
            # One is due again in each second of the next minute.
            change = update(notification).where(notification.c.dedup_key == f"{number:064x}")
            connection.execute(change.values(next_try_at=now(2.0 * number)))
    assert "waits 5 s for its next try" in served()


def test_a_backfill_without_a_service_leaves_mails_for_a_command(mail: MailCatcher, home: Path) -> None:
    dag_file(home, "etl", days=1, text=FAILING.replace('("2016-02-22", "2016-02-24")', "()"))
    said = ended(started("backfill", "etl", "-s", "2016-02-22"))
    assert "2 notifications wait; `elastic notifications send` sends what waits, and so does the next service" in said
    assert mail.mails == []
    assert "ops@example.org" in ended(started("notifications", "list", "--state", "waiting"))
    assert ended(started("notifications", "send")).splitlines()[-1] == "2 sent"
    assert len(mail.mails) == 2
    assert ended(started("notifications", "send")).splitlines()[-1] == "no notification waits"
    assert "choose one of waiting, sent, failed" in ended(started("notifications", "list", "--state", "gone"))
    assert "1 notification waits to be sent again" in ended(started("notifications", "retry", "1"))
    assert "no notification with the id 7 or 8 has failed or" in ended(started("notifications", "retry", "7", "8"))


@pytest.mark.parametrize("kills_senders", [False, True])
def test_no_mail_is_lost_under_kills_and_a_repeat_has_the_same_message_id(
    mail: MailCatcher, home: Path, monkeypatch: pytest.MonkeyPatch, kills_senders: bool
) -> None:
    for name in ("ELASTIC__NOTIFY__MAX_PER_HOUR", "ELASTIC_CONN_SMTP_DEFAULT"):
        monkeypatch.setenv(name, "1")
    found = campaign(home, 6, kills_senders=kills_senders)
    assert found.failed == len(found.mails) == 6
    if not kills_senders:
        assert set(found.mails.values()) == {1}, "each mail is sent once"
