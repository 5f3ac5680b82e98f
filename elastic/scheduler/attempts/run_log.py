"""What a run as a whole has to say: into the flow's own log, and into the database."""

import datetime as dt
import logging

from elastic.config.secret_mask import masked
from elastic.db.records import DagRun, LogLine
from elastic.scheduler.attempts.log_format import StepFormatter, log_file
from elastic.scheduler.deployment import Deployment


class FlowLog:
    """Lines of the runs of a DAG: `<flow>/<flow>.log`, `flow LEVEL message`."""

    def __init__(self, deployment: Deployment, dag_id: str) -> None:
        self._deployment, self._dag_id = deployment, dag_id
        self._lines: list[LogLine] = []

    def say(self, run: DagRun, message: str, level: int = logging.INFO) -> None:
        """Write a line to the file, and keep it for the database."""
        text = masked(message)
        record = logging.LogRecord(self._dag_id, level, "", 0, f"{run.timeperiod or run.run_id}: {text}", None, None)
        if self._deployment.flow_logs is not None:
            handler = log_file(self._deployment.flow_logs / self._dag_id / f"{self._dag_id}.log")
            handler.setFormatter(StepFormatter(self._dag_id))
            handler.emit(record)
            handler.close()
        if self._deployment.lines_in_database:
            line = LogLine(
                dag_id=run.dag_id,
                run_id=run.run_id,
                run_attempt=run.attempt,
                at=dt.datetime.now(dt.UTC),
                logger=self._dag_id,
                level=record.levelname,
                message=text,
            )
            self._lines.append(line)

    def taken(self) -> tuple[LogLine, ...]:
        """Return the lines that are not in the database, and forget them."""
        lines, self._lines = tuple(self._lines), []
        return lines
