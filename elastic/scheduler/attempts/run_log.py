"""Log of DAG runs: messages about a run as a whole, written to the flow's log file and to the database."""

import datetime as dt
import logging

from elastic.config.secret_mask import masked
from elastic.db.records import DagRun, LogLine
from elastic.scheduler.attempts.log_format import StepFormatter, log_file
from elastic.scheduler.deployment import Deployment


class FlowLog:
    """Log of the runs of one DAG: lines `flow LEVEL message` in `<flow>/<flow>.log`."""

    def __init__(self, deployment: Deployment, dag_id: str) -> None:
        self._deployment, self._dag_id = deployment, dag_id
        self._lines: list[LogLine] = []

    def write(self, run: DagRun, message: str, level: int = logging.INFO) -> None:
        """Write a message to the file, and buffer it for the database."""
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

    def take(self) -> tuple[LogLine, ...]:
        """Return the buffered lines and clear the buffer."""
        lines, self._lines = tuple(self._lines), []
        return lines
