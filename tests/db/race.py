"""One of several processes that compete for the same task instances; it prints the attempts that it ran."""

import sys
import uuid

from db_samples import DAY, claimed, database_time, finished, made_run, queued

from elastic.dag.ids import TaskKey
from elastic.db import transitions
from elastic.db.database import Database

COUNT = 25


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    database = Database(sys.argv[1])
    database_time(database)
    tell("ready")
    sys.stdin.readline()
    run = made_run(database, *(f"t{number}" for number in range(COUNT)))
    ran = []
    for number in range(COUNT):
        key, attempt = TaskKey("etl", run.run_id, f"t{number}"), uuid.uuid4().hex
        if queued(database, key, attempt) and claimed(database, key, attempt) and finished(database, attempt):
            ran.append(attempt)
        transitions.renew(database, "me", 60)
    assert run.logical_date == DAY
    tell(" ".join(ran))


if __name__ == "__main__":
    main()
