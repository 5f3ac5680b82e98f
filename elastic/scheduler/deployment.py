"""The site: the database, folders and limits that an installation runs with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elastic.config.settings import Settings, read_settings
from elastic.db.database import Database
from elastic.db.open_database import open_database


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Where runs happen."""

    database: Database
    #: of DAG files
    dags_folder: Path
    #: of task logs: `<dag>/<task>/<iso date>`
    logs: Path
    #: of flow logs: `<flow>/<flow>.log`, `<flow>/<step>.log`; None for none
    flow_logs: Path | None
    #: lines of flows and steps are kept in the database too
    lines_in_database: bool
    #: the least level that is written
    level: str
    #: the name of the executor
    executor: str
    parallelism: int
    #: seconds between signs of life
    heartbeat: float
    #: seconds after which a process that gives no sign of life is taken for dead
    lease: float
    #: what actions and tasks may read; no secrets
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, settings: Settings | None = None) -> "Deployment":
        """Return the site of this process.

        Raises:
            UsageError: The settings cannot stand as they are.
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
            parallelism=found.get("core.parallelism"),
            heartbeat=found.get("scheduler.heartbeat"),
            lease=found.get("scheduler.lease"),
            settings={one.name: found.get(one.name) for one in found.options if not one.is_secret},
        )
