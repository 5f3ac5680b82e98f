"""Room for task instances, as the database has it: why one that nothing else stands against does not run."""

from collections.abc import Callable, Sequence

from elastic.dag.dag import DAG
from elastic.db import queries
from elastic.db.database import Database
from elastic.db.stores.pools import PoolStore
from elastic.scheduler.decisions.conditions import room_verdicts
from elastic.scheduler.decisions.inputs import FreeSlots, RunnableTask
from elastic.scheduler.decisions.run_states import name_of


def room_in(database: Database, dag_id: str, concurrency: int) -> FreeSlots:
    """Return how many more instances of a DAG may run now; `concurrency` 0 is any number."""
    pools = PoolStore(database).all()
    active = len(queries.active_instances(database, dag_id)) if concurrency else 0
    return FreeSlots(
        concurrency=concurrency - active if concurrency else None,
        pools={one.pool: one.slots - one.queued - one.running for one in pools if one.slots >= 0},
        sizes={one.pool: one.slots for one in pools},
    )


class WaitingNotice:
    """Tells a user once why instances wait that are ready to run.

    Args:
        database: Where room is counted.
        dag: The DAG.
        say: Is given each sentence.
    """

    def __init__(self, database: Database, dag: DAG, say: Callable[[str], None]) -> None:
        self._database, self._dag, self._say = database, dag, say
        self._said: set[str] = set()

    def tell(self, ready: Sequence[RunnableTask]) -> None:
        """Say what room is missing, each reason once, with the first instance that waits for it."""
        room = room_in(self._database, self._dag.dag_id, self._dag.concurrency)
        for one in ready:
            for verdict in room_verdicts(one, room):
                if not verdict.met:
                    self._once(verdict.reason, f"{one.key.run_id} {name_of(one.key)}")

    def tell_of_runs(self) -> None:
        """Say that no run can begin because others have as many going as the DAG allows."""
        self._once(f"other processes have as many runs of DAG {self._dag.dag_id!r} going as it allows", "the next run")

    def _once(self, reason: str, what: str) -> None:
        if reason not in self._said:
            self._said.add(reason)
            self._say(f"Waiting: {what}: {reason}")
