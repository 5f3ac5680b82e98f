"""Deployment: the database, folders and limits of an installation."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elastic.config.queues import DEFAULT_QUEUE, WORKERS, QueueSetting, queues_of, worker_queues_of
from elastic.config.settings import Settings, read_settings
from elastic.db.database import Database
from elastic.db.open_database import open_database


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Settings of the scheduler, resolved from the configuration."""

    database: Database
    #: folder of DAG files
    dags_folder: Path
    #: folder of task logs: `<dag>/<task>/<iso date>`
    logs: Path
    #: folder of flow logs: `<flow>/<flow>.log`, `<flow>/<step>.log`; None if disabled
    flow_logs: Path | None
    #: True if log lines of flows and steps are stored in the database too
    lines_in_database: bool
    #: minimum log level
    level: str
    #: name of the executor
    executor: str
    #: executors of the queues besides `default`
    queues: Mapping[str, QueueSetting]
    #: attempts that the executor runs at the same time
    parallelism: int
    #: seconds between heartbeats of a job
    heartbeat: float
    #: seconds after which a lease expires unless its owner renews it
    lease: float
    #: settings that actions and tasks may read, without secrets
    settings: Mapping[str, Any]

    @property
    def renewal_interval(self) -> float:
        """Seconds between renewals of leases and heartbeats: two of them may fail before a lease ends."""
        return min(self.heartbeat, self.lease / 3)

    @property
    def executors_by_queue(self) -> Mapping[str, str] | None:
        """Names of the executors by queue; None if one executor has all queues."""
        return {queue: queue for queue in (DEFAULT_QUEUE, *self.queues)} if self.queues else None

    @property
    def parallelism_by_executor(self) -> Mapping[str, int]:
        """Attempts that each executor of a master runs at the same time, by the name of the executor."""
        names = self.executors_by_queue or {DEFAULT_QUEUE: ""}
        settings = {DEFAULT_QUEUE: QueueSetting(self.executor), **self.queues}
        return {name: settings[queue].places(self.parallelism) for queue, name in names.items()}

    @property
    def worker_executors(self) -> frozenset[str]:
        """Names of the executors that leave their tasks to workers; an empty name if one executor has all queues."""
        if not self.queues:
            return frozenset([""] if self.executor.lower() == WORKERS else [])
        return frozenset(self.worker_queues)

    @property
    def worker_queues(self) -> tuple[str, ...]:
        """Queues whose tasks are left to workers, as far as the settings name them."""
        return worker_queues_of(self.executor, self.queues)

    @classmethod
    def of(cls, settings: Settings | None = None) -> "Deployment":
        """Return the deployment that settings describe; by default, those of this process.

        Raises:
            UsageError: The settings are invalid.
            DatabaseError: The database cannot be used.
        """
        found = settings or read_settings()
        flow_logs = found.text("logs.flow_folder")
        return cls(
            database=open_database(found),
            dags_folder=Path(found.text("core.dags_folder")).expanduser(),
            logs=Path(found.text("logs.folder")).expanduser(),
            flow_logs=Path(flow_logs).expanduser() if flow_logs else None,
            lines_in_database=found.get("logs.in_database"),
            level=found.text("logs.level").upper(),
            executor=found.text("core.executor"),
            queues=queues_of(found.text("core.queues")),
            parallelism=found.get("core.parallelism"),
            heartbeat=found.get("scheduler.heartbeat"),
            lease=found.get("scheduler.lease"),
            settings={one.name: found.get(one.name) for one in found.options if not one.is_secret},
        )
