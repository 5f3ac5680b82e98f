"""A process that runs task instances one by one until it is killed; it prints each attempt before it queues it."""

import itertools
import sys
import uuid

from db_samples import claimed, finished, made_run, queued

from elastic.dag.ids import TaskKey
from elastic.db.database import Database


def main() -> None:
    database = Database(sys.argv[1])
    for number in itertools.count(int(sys.argv[2])):
        run = made_run(database, "load", day=number)
        attempt = uuid.uuid4().hex
        sys.stdout.write(f"{attempt}\n")
        sys.stdout.flush()
        key = TaskKey("etl", run.run_id, "load")
        queued(database, key, attempt, lease=-1)
        claimed(database, key, attempt, lease=-1)
        finished(database, attempt, xcoms={"return_value": "1"})


if __name__ == "__main__":
    main()
