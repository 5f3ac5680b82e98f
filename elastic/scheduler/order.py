"""What a process is told about an attempt, and what it tells when the attempt has ended."""

from dataclasses import dataclass

from elastic.dag.instance import Instance
from elastic.db.value import Ending, LogLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An attempt that is to be made."""

    facts: Instance
    #: how often the instance may be tried
    max_tries: int
    #: which rerun of the run it belongs to
    run_attempt: int = 1
    #: the flow that an earlier try ran, which this one resumes
    flow_run_id: str | None = None
    #: it was claimed for the process that gets it; otherwise that one has to claim it before it does anything else
    is_claimed: bool = True
    #: who renews the lease
    lease_owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How an attempt ended."""

    #: None for one that did not begin, because it does not count any more
    ending: Ending | None
    #: tasks that are skipped because of what it returned
    skipped: tuple[str, ...] = ()
    #: lines of its log that are not in the database yet
    lines: tuple[LogLine, ...] = ()
