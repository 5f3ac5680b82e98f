"""Campaign of kills: masters at random moments, and database servers. No run may be lost, and none made twice.

python -m tests.service.master_campaign [200] [--databases sqlite postgresql mariadb] [--masters 1 2 3]
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from elastic.db.database import Database
from elastic.db.migration.upgrade import create
from elastic.testing import MariaDbServer, PostgresServer
from elastic.testing.database_server import ServerProcess
from tests import command_process
from tests.command_process import end_all, ended, started, until
from tests.service.service_samples import check_each_date_once, dag_file, database, ran, run_states

#: Runs of a round, kills of masters in it, and seconds between two kills.
DAYS, KILLS, PAUSE = 25, 10, (0.0, 1.0)

#: Tasks leave a line when they start, and take some time.
TEXT = """
import random, time
from pathlib import Path
from elastic.dag import DAG
from elastic.operators import PythonOperator

def note(task, ds, attempt_uuid):
    with (Path({here!r}) / "ran").open("a") as file:
        file.write(f"{{task.task_id}} {{ds}} {{attempt_uuid}}\\n")
    time.sleep(random.uniform(0, 0.8))

with DAG({dag_id!r}, schedule="@daily", start_date={start!r}, end_date={end!r}, max_active_runs=4) as dag:
    PythonOperator(task_id="first", python_callable=note) >> PythonOperator(task_id="second", python_callable=note)
"""

#: Short intervals, so that masters take over in seconds.
SETTINGS = {
    "ELASTIC__SCHEDULER__LOOP_INTERVAL": "0.1",
    "ELASTIC__SCHEDULER__SCAN_INTERVAL": "0.5",
    "ELASTIC__SCHEDULER__HEARTBEAT": "1",
    "ELASTIC__SCHEDULER__LEASE": "3",
    "ELASTIC__CORE__PARALLELISM": "4",
}

SERVERS: dict[str, type[ServerProcess]] = {"postgresql": PostgresServer, "mariadb": MariaDbServer}


@dataclass(slots=True)
class Outcome:
    """Counts of a round."""

    kills: int = 0
    #: kills of the database server
    restarts: int = 0
    #: attempts of tasks; those beyond two for each run were lost with their masters
    attempts: int = 0
    seconds: float = 0.0


def play(home: Path, masters: int, server: ServerProcess | None, random_numbers: random.Random) -> Outcome:
    """Run all dates of a DAG while masters, and the server of the database, are killed.

    Args:
        home: Home folder, which the environment names.
        masters: Number of masters at the same time.
        server: Server of the database; None for SQLite.
        random_numbers: Chooses masters and moments.

    Raises:
        AssertionError: A date has no run, or several, or a task of it did not succeed exactly once.
    """
    began, found = time.monotonic(), Outcome()
    dag_file(home, days=DAYS, text=TEXT)
    processes = [started("master") for _ in range(masters)]
    while found.kills < KILLS and run_states() != ["success"] * DAYS:
        if found.kills % 2:
            # Not only masters that have just started.
            count = len(ran(home))
            until(lambda count=count: len(ran(home)) > count or run_states() == ["success"] * DAYS)
        time.sleep(random_numbers.uniform(*PAUSE))
        place = random_numbers.randrange(masters)
        processes[place].kill()
        processes[place].communicate()
        found.kills += 1
        processes[place] = started("master")
        if server is not None and found.kills == KILLS // 2:
            server.kill()
            server.start()
            found.restarts += 1
    until(lambda: run_states() == ["success"] * DAYS, *processes)
    for process in processes:
        process.send_signal(signal.SIGTERM)
        ended(process)
    check_each_date_once(home, "daily", DAYS)
    if server is None:
        checked = database().query(lambda connection: connection.execute(text("PRAGMA integrity_check")).scalar())
        assert checked == "ok", checked
    found.attempts, found.seconds = len(ran(home)), time.monotonic() - began
    return found


@contextmanager
def world(name: str) -> Iterator[tuple[Path, ServerProcess | None]]:
    """Yield a new home with an empty database, and the server of the database."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.environ |= SETTINGS | {"ELASTIC_HOME": str(home)}
        server, url = None, f"sqlite:///{home}/elastic.db"
        if name in SERVERS:
            server = stack.enter_context(SERVERS[name]())
            url = server.create_database()
        os.environ["ELASTIC__DATABASE__URL"] = url
        found = Database(url)
        create(found)
        found.close()
        stack.callback(end_all)
        yield home, server


def main() -> int:
    """Play rounds until a number of masters was killed, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kills", nargs="?", type=int, default=200)
    parser.add_argument("--databases", nargs="+", choices=["sqlite", *SERVERS], default=["sqlite", *SERVERS])
    parser.add_argument("--masters", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    command_process.LONGEST = 600
    cases = [(name, masters) for name in given.databases for masters in given.masters]
    kills, problems, number = 0, 0, 0
    while kills < given.kills:
        name, masters = cases[number % len(cases)]
        with world(name) as (home, server):
            try:
                found = play(home, masters, server, random.Random(given.seed + number))
            except AssertionError as error:
                problems += 1
                sys.stdout.write(f"{name}, {masters} masters, seed {given.seed + number}: {error}\n")
                found = Outcome(kills=KILLS)
        kills, number = kills + found.kills, number + 1
        sys.stdout.write(f"{name}, {masters} masters: {found}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{kills} kills in {number} rounds, {problems} problems\n")
    return int(problems > 0)


if __name__ == "__main__":
    sys.exit(main())
