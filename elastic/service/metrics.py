"""Metrics of the service in the text format of Prometheus, from the database alone."""

from collections.abc import Iterable, Iterator, Mapping

from elastic.db.database import Database
from elastic.db.page_queries.service_counts import ServiceCounts, service_counts
from elastic.db.stores.pools import PoolStore
from elastic.service.figures import BOUNDS, DurationHistogram, MasterFigures

#: Content type of the text.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: Labels and value of a sample.
_Sample = tuple[Mapping[str, str], float]


def metrics_text(database: Database, heartbeat: float) -> str:
    """Return the metrics of the service.

    Args:
        database: The database.
        heartbeat: Interval of the heartbeats of jobs (seconds).

    Raises:
        DatabaseError: The database cannot be used.
    """
    counts = service_counts(database, heartbeat)
    lines = [*_gauges(counts), *_pools(database), *_counters(counts)]
    figures = MasterFigures.sum_of(counts.figures)
    delay = "Seconds from the time at which a run is due until it is made."
    lines += _histogram("elastic_scheduling_delay_seconds", delay, figures.scheduling_delay)
    lines += _histogram("elastic_turn_seconds", "Seconds of the turns of masters.", figures.turn)
    retries = "Transactions of masters that were tried again."
    lines += _family("elastic_db_retries_total", "counter", retries, [({}, figures.db_retries)])
    return "\n".join(lines) + "\n"


def _gauges(counts: ServiceCounts) -> Iterator[str]:
    def by(label: str, found: Mapping[str, int]) -> list[_Sample]:
        return [({label: name}, value) for name, value in sorted(found.items())]

    yield from _family("elastic_tasks", "gauge", "Task instances that have not ended.", by("state", counts.tasks))
    yield from _family("elastic_runs", "gauge", "Runs that have not ended.", by("state", counts.runs))
    yield from _family("elastic_runs_due", "gauge", "DAGs with a run that is due.", [({}, counts.runs_due)])
    yield from _family("elastic_jobs", "gauge", "Processes that send heartbeats.", by("kind", counts.jobs))
    yield from _family("elastic_notifications", "gauge", "Notifications.", by("state", counts.notifications))
    yield from _family("elastic_triggers", "gauge", "Sensors that wait.", by("kind", counts.triggers))
    yield from _family("elastic_dag_files", "gauge", "DAG files.", [({}, counts.files)])
    yield from _family("elastic_parse_errors", "gauge", "Broken DAG files.", [({}, counts.import_errors)])
    parses: list[_Sample] = [({"of": "all"}, counts.parse_seconds), ({"of": "slowest"}, counts.slowest_parse_seconds)]
    yield from _family("elastic_parse_seconds", "gauge", "Seconds of the last parse of each file.", parses)


def _counters(counts: ServiceCounts) -> Iterator[str]:
    expired: list[_Sample] = [({}, counts.leases_expired)]
    missed: list[_Sample] = [({}, counts.deadlines_missed)]
    yield from _family("elastic_leases_expired_total", "counter", "Attempts whose lease expired.", expired)
    yield from _family("elastic_deadlines_missed_total", "counter", "Deadlines that passed.", missed)


def _pools(database: Database) -> Iterator[str]:
    samples: list[_Sample] = []
    for one in PoolStore(database).all():
        kinds = {"queued": one.queued, "running": one.running}
        # A pool without a limit has no number of slots.
        kinds |= {"total": one.slots} if one.slots >= 0 else {}
        samples += [({"pool": one.pool, "kind": kind}, value) for kind, value in kinds.items()]
    yield from _family("elastic_pool_slots", "gauge", "Slots of pools.", samples)


def _histogram(name: str, doc: str, histogram: DurationHistogram) -> Iterator[str]:
    yield f"# HELP {name} {doc}"
    yield f"# TYPE {name} histogram"
    count = 0
    for bound, more in zip((*map(str, BOUNDS), "+Inf"), histogram.counts, strict=True):
        count += more
        yield _line(f"{name}_bucket", {"le": bound}, count)
    yield _line(f"{name}_sum", {}, histogram.total)
    yield _line(f"{name}_count", {}, count)


def _family(name: str, kind: str, doc: str, samples: Iterable[_Sample]) -> Iterator[str]:
    yield f"# HELP {name} {doc}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        yield _line(name, labels, value)


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{shown}}} {value:.15g}" if shown else f"{name} {value:.15g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
