"""Run: composes a master out of a step, and keeps what its steps leave behind in one folder."""

import os
import secrets
from pathlib import Path

from elastic.core.errors import ElasticError
from elastic.core.ledger import Ledger
from elastic.core.program import Program
from elastic.core.receipt import Seal
from elastic.core.store import RunStore
from elastic.engine.cluster import cluster_of, transport_of
from elastic.engine.cutter import Cutter
from elastic.engine.master import Master, Plan
from elastic.engine.observers import Observers
from elastic.engine.placement import placement_of
from elastic.engine.result import Result
from elastic.engine.step import Step
from elastic.engine.system_clock import SystemClock
from elastic.persistence.home import RANDOM_BYTES, Home, new_run_id
from elastic.persistence.sqlite_store import SqliteRunStore
from elastic.stages.transport import Limits

#: Bytes of a run's key.
_KEY_BYTES = 32


class Run:
    """One run: its id, its key, and its folder, which is made when the first step is ready to begin.

    Args:
        home: Where runs are kept.
        chunk_store: How payloads of one-shot sources are kept, see `Options`.
    """

    def __init__(self, home: Home, chunk_store: str) -> None:
        self._clock = SystemClock()
        self._home = home
        self._chunk_store = chunk_store
        self._store: RunStore | None = None
        self._key = secrets.token_bytes(_KEY_BYTES)
        self.run_id = new_run_id(self._clock.now(), secrets.token_bytes(RANDOM_BYTES))

    @classmethod
    def at(cls, home: "str | os.PathLike[str] | None", chunk_store: str) -> "Run":
        """Return a new run; without `home` it is kept where the environment says."""
        folder = Home.of(os.environ) if home is None else Home(Path(home).expanduser().absolute())
        return cls(folder, chunk_store)

    @property
    def folder(self) -> Path:
        """Where this run is kept."""
        return self._home.run_folder(self.run_id)

    def master(self, number: int, step: Step) -> Master:
        """Return a master that is ready to run a step.

        What can be known to fail is found out here, before anything is written.

        Raises:
            ElasticError: The source, the cluster or the run folder cannot be used.
        """
        options, source = step.options, step.source
        placement = placement_of(options.placement)
        program = Program(
            source.reader(), step.transforms, step.aggregator, options.tolerance, self._key, self.run_id, number
        )
        cutter = Cutter(source, self._clock, trim=options.trim)
        cluster = cluster_of(options.cluster, os.environ)
        transport = transport_of(cluster, Limits(options.workers, options.settings.start_timeout, options.heartbeat))
        try:
            store = self._open_store()
        except ElasticError:
            transport.close()
            raise
        seal = Seal(key=program.key, run_id=program.run_id, step=program.step)
        return Master(
            Plan(
                name=step.name,
                source=source,
                program=program,
                settings=options.settings,
                clock=self._clock,
                manifest={**step.manifest(), "cluster": cluster, "node": transport.node_id},
            ),
            cutter=cutter,
            ledger=Ledger(
                settings=options.settings,
                placement=placement,
                tolerance=options.tolerance,
                ordered=step.aggregator.ordered,
            ),
            transport=transport,
            store=store,
            observers=Observers(options.interceptors, seal, transport.node_id),
        )

    def close(self) -> None:
        """Release the run's lock and files; may be called twice."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def _open_store(self) -> RunStore:
        if self._store is None:
            self._store = SqliteRunStore.create(self.folder, self.run_id, self._key, chunk_store=self._chunk_store)
        return self._store


def run(step: Step) -> Result:
    """Run one step as a run of its own.

    Raises:
        ElasticError: The step could not begin, or it did not complete.
    """
    whole = Run.at(step.options.home, step.options.chunk_store)
    try:
        return whole.master(0, step).run().check()
    finally:
        whole.close()
