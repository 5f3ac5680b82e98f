"""Play five days of the event pipeline on this machine: S3, PostgreSQL, mail and the service, all on loopback.

    python examples/event_pipeline/demo.py          # or `make demo`; --stay leaves the pages open until Ctrl-C

Day 3 arrives late, so the load of day 2 waits. A payment of day 4 has the amount "12,50", so its load fails: three
retries, one mail, and the payment is kept as a dead letter. The code is repaired, the dead letter redriven, and the day
cleared.
"""

import argparse
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import date, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from s3_load import load
from sample_events import DAYS, ROWS, write_events

HERE = Path(__file__).resolve().parent
BUCKET, PREFIX = "talk-events", "talk"

#: Seconds after which the demo gives up, and between looks at the database.
LONGEST, INTERVAL = 450, 0.2

#: Lines of the log of the service that are printed if something did not happen.
LOG_LINES = 20

#: Repair of the code: the amount may have a comma.
DEFECT, REPAIR = "return float(value)", 'return float(str(value).replace(",", "."))'


class Mails:
    """Handler of a mail server that keeps mails."""

    def __init__(self) -> None:
        self.found: list[Any] = []

    async def handle_DATA(self, _: Any, __: Any, envelope: Any) -> str:  # noqa: N802 - the name that aiosmtpd expects
        self.found.append(message_from_bytes(envelope.content, policy=default))
        return "250 OK"


def say(text: str = "") -> None:
    print(text, flush=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def mail_catcher() -> Iterator[Mails]:
    """Run a mail server of this process, and name it as the server of Elastic."""
    from aiosmtpd.controller import Controller

    mails, port = Mails(), free_port()
    server = Controller(mails, hostname="127.0.0.1", port=port)
    server.start()
    os.environ["ELASTIC_CONN_SMTP_DEFAULT"] = f"smtp://127.0.0.1:{port}"
    try:
        yield mails
    finally:
        server.stop()


@contextmanager
def object_store() -> Iterator[Any]:
    """Run an S3 endpoint of this process with an empty bucket; yield a client."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    os.environ |= {
        "AWS_ENDPOINT_URL": "http://{}:{}".format(*server.get_host_and_port()),
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        yield client
    finally:
        server.stop()


@contextmanager
def databases(home: Path) -> Iterator[str]:
    """Name the databases of Elastic and of the events: in PostgreSQL, or in SQLite where there is none."""
    from elastic.testing import PostgresServer

    if PostgresServer.missing():
        os.environ["ELASTIC_CONN_WAREHOUSE"] = f"sqlite:///{home}/warehouse.db"
        yield "SQLite"
        return
    with PostgresServer() as server:
        os.environ["ELASTIC_CONN_WAREHOUSE"] = server.create_database()
        os.environ["ELASTIC__DATABASE__URL"] = server.create_database()
        yield "PostgreSQL"


def elastic(*words: str, lines: int = 20) -> None:
    """Run a command of Elastic, and print it with the last lines of its output.

    Raises:
        SystemExit: The command failed.
    """
    say(f"  $ elastic {' '.join(words)}")
    done = subprocess.run(
        [sys.executable, "-m", "elastic", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    for line in done.stdout.rstrip().splitlines()[-lines:]:
        say(f"    {line}")
    if done.returncode:
        raise SystemExit(f"the command ended with exit code {done.returncode}")


@contextmanager
def service(home: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run `elastic standalone` with its output in a file. It ends with this process, even if that is killed."""
    from elastic.testing.child_process import start_child

    with (home / "service.log").open("wb") as log:
        command = [sys.executable, "-m", "elastic", "standalone", "-p", str(port)]
        process = start_child(command, stdout=log, stderr=log, start_new_session=True)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Story:
    """What the demo waits for, by the rows of the metadata database."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        from elastic.scheduler.deployment import Deployment

        self._process, self._log, self._deadline = process, log, time.monotonic() + LONGEST
        self._database = Deployment.of().database

    def instance(self, task_id: str, day: date) -> Any:
        """Return the row of a task for a day, or None."""
        from elastic.db import queries

        runs = [run for run in queries.runs(self._database, "daily_etls") if run.logical_date.date() == day]
        found = queries.instances(self._database, "daily_etls", [run.run_id for run in runs]) if runs else []
        return next((one for one in found if one.task_id == task_id), None)

    def state(self, task_id: str, day: date) -> str:
        row = self.instance(task_id, day)
        return str(row.state) if row is not None else "none"

    def wait(self, what: str, condition: Callable[[], bool]) -> None:
        """Wait until a condition is met.

        Raises:
            SystemExit: It takes too long, or the service has ended. The message has the end of its log.
        """
        while not condition():
            if self._has_ended() or time.monotonic() > self._deadline:
                lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
                raise SystemExit("\n  ".join([f"{what} did not happen. The last lines of the service:", *lines]))

    def _has_ended(self) -> bool:
        """Wait a moment for the end of the service, and return whether it came."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(INTERVAL)
        return self._process.returncode is not None


def play(home: Path, client: Any, mails: Mails, process: "subprocess.Popen[bytes]") -> None:
    """Play five days."""
    story = Story(process, home / "service.log")
    first, second, third, fourth, fifth = DAYS

    def arrive(*days: date) -> None:
        for day in days:
            incoming = home / "incoming" / str(day)
            incoming.mkdir(parents=True)
            write_events(incoming, day, is_poisoned=day == fourth)
            for key in load(incoming, BUCKET, PREFIX, client):
                say(f"  s3://{BUCKET}/{key}")

    say(f"\nThe events of {first} and {second} arrive.")
    arrive(first, second)
    story.wait("the load of day 1", lambda: story.state("load", first) == "success")
    story.wait("the wait of day 2", lambda: story.state("wait", second) == "deferred")
    say(f"{first} is loaded. {third} is late, so the load of {second} waits, without a process.")

    say("\nThe events of the other days arrive, and one payment has the amount '12,50'.")
    arrive(third, fourth, fifth, fifth + timedelta(days=1))
    story.wait("the load of day 3", lambda: story.state("load", third) == "success")
    story.wait("the failure of day 4", lambda: story.state("load", fourth) == "failed")
    story.wait("the mail", lambda: bool(mails.found))
    row = story.instance("load", fourth)
    say(f"\n{fourth}: load failed after {row.try_number} tries. One mail was sent:")
    show(mails.found[0])

    say("\nThe payment is a dead letter of the run of the flow:")
    elastic("dead-letters", "list", row.flow_run_id)
    path = home / "dags" / "event_load.py"
    path.write_text(path.read_text(encoding="utf-8").replace(DEFECT, REPAIR), encoding="utf-8")
    say(f"The code is repaired: {REPAIR}. The dead letter is redriven, and the day cleared:")
    elastic("dead-letters", "redrive", row.flow_run_id, f"{path}:flow", lines=2)
    elastic("clear", "daily_etls", "-s", str(fourth), "-e", str(fourth), "-y")
    story.wait("the end of day 5", lambda: story.state("count", fifth) == "success")
    say("\nAll days are green:")
    for day in DAYS:
        say(f"  {day}  load {story.state('load', day)}, count {story.state('count', day)}")
    check_rows()
    if len(mails.found) != 1:
        raise SystemExit(f"{len(mails.found)} mails were sent, and 1 was expected")


def show(mail: EmailMessage) -> None:
    """Print the subject and the first paragraphs of a mail, with its link."""
    body = mail.get_body(("plain",))
    say(f"  Subject: {mail['Subject']}\n  To: {mail['To']}")
    for line in (body.get_content() if body else "").split("\n    ")[0].strip().splitlines():
        say(f"  {line}".rstrip())


def check_rows() -> None:
    """Print the number of rows of each table, and compare it with the known one."""
    from elastic.hooks import SqlHook

    hook = SqlHook("warehouse")
    found = {table: hook.get_first(f"select count(*) from {table}")[0] for table in ROWS}
    say(f"  rows: {', '.join(f'{table} {count}' for table, count in found.items())}")
    if found != {table: len(DAYS) * count for table, count in ROWS.items()}:
        raise SystemExit("the tables have other numbers of rows than the generator has made")


def prepare(home: Path, port: int) -> None:
    """Copy the DAGs, with shorter pauses, and set the environment of all commands."""
    shutil.copytree(HERE / "workflows", home / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    path = home / "dags" / "daily_etls.py"
    text = path.read_text(encoding="utf-8")
    text = text.replace('retry_delay": timedelta(seconds=10)', 'retry_delay": timedelta(seconds=1)')
    text = text.replace('poke_interval": timedelta(seconds=30)', 'poke_interval": timedelta(seconds=1)')
    path.write_text(
        text.replace('schedule="@daily", ', f'schedule="@daily", end_date="{DAYS[-1]}", '), encoding="utf-8"
    )
    shutil.copy(HERE / "config" / "dev.toml", home / "elastic.toml")
    os.environ |= {
        "ELASTIC_HOME": str(home),
        "ELASTIC_VAR_BUCKET": BUCKET,
        "ELASTIC_VAR_EVENTS": f"s3://{BUCKET}/{PREFIX}",
        "ELASTIC__WEB__BASE_URL": f"http://127.0.0.1:{port}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stay", action="store_true", help="leave the pages open until Ctrl-C")
    is_staying = parser.parse_args().stay
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begin, port = time.monotonic(), free_port()
    try:
        with ExitStack() as stack:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="elastic-demo-"))).resolve()
            prepare(home, port)
            kind = stack.enter_context(databases(home))
            mails = stack.enter_context(mail_catcher())
            client = stack.enter_context(object_store())
            elastic("db", "migrate")
            elastic("backfill", "event_tables", "-s", str(DAYS[0]))
            say(f"home {home}, {kind}, S3 at {os.environ['AWS_ENDPOINT_URL']}")
            process = stack.enter_context(service(home, port))
            say(f"pages at http://127.0.0.1:{port}")
            play(home, client, mails, process)
            say(f"\nDone after {time.monotonic() - begin:.0f} s.")
            if is_staying:
                say(f"Look at http://127.0.0.1:{port} (user admin, password in {home}/admin-password); Ctrl-C ends it.")
                process.wait()
            else:
                say("`make demo ARGUMENTS=--stay` leaves the pages open.")
    except KeyboardInterrupt:
        say("\nEnded.")
        sys.exit(130)


if __name__ == "__main__":
    main()
