"""What a worker process does with a command: it knows the DAG already, and runs the attempt that is ordered."""

from pathlib import Path
from typing import Any, TextIO

from elastic.dag.bag import DagBag
from elastic.dag.dag import DAG
from elastic.dag.key import TaskKey
from elastic.executors.command import Command
from elastic.scheduler.attempt import run_attempt
from elastic.scheduler.claiming import claim
from elastic.scheduler.order import Order, Report
from elastic.scheduler.site import Site


class AttemptRunner:
    """Runs attempts of tasks of one DAG.

    A process that was forked has the DAG; one that was not loads it from its file.

    Args:
        dag: The DAG.
        site: Where it happens.
        terminal: Where the logs go as well; what is printed stays what it is then, and is else part of the log.
    """

    def __init__(self, dag: DAG, site: Site, terminal: TextIO | None = None) -> None:
        self._terminal = terminal
        self._dag: DAG | None = dag
        self._dag_id, self._place = dag.dag_id, dag.fileloc
        self._site: Site | None = site

    def __call__(self, key: TaskKey, command: Command) -> Report:
        if self._site is None:
            self._site = Site.of()
        if self._dag is None:
            self._dag = DagBag(Path(self._place)).get_dag(self._dag_id)
        order: Order = command.order
        if not order.is_claimed and not claim(self._site, order):
            return Report(ending=None)
        task, terminal = self._dag.get_task(key.task_id), self._terminal
        return run_attempt(task, order, self._site, terminal=terminal, capture=terminal is None)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_dag": None, "_site": None, "_terminal": None}
