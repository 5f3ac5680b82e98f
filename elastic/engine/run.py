"""Flow run: builds the master of each step, and stores the steps of a run in one folder."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elastic.core.clock import Clock, SystemClock
from elastic.core.contracts.interceptor import Interceptor
from elastic.core.contracts.source import Reader
from elastic.core.contracts.store import RunStore
from elastic.core.errors import ElasticError, SourceError
from elastic.core.interrupts import concise, hold_interrupts
from elastic.core.ledger.ledger import Ledger
from elastic.core.ledger.resume_point import ResumePoint
from elastic.core.local_path import local_path
from elastic.core.program import Program
from elastic.core.receipts.merkle import ROOT_VERSION
from elastic.engine.aggregation import Aggregation
from elastic.engine.chunker import Chunker, wrap_source_errors
from elastic.engine.cluster import check_chaos, cluster_of, transport_of, with_chaos
from elastic.engine.fingerprint.step_code import code_manifest
from elastic.engine.interceptor_dispatch import InterceptorDispatch
from elastic.engine.master import Master
from elastic.engine.options import Options
from elastic.engine.placement import CheckedPlacement, placement_of
from elastic.engine.pruning import prune_by_settings
from elastic.engine.result import Result
from elastic.engine.sharded_aggregation import aggregation_of
from elastic.engine.step import Step
from elastic.engine.step_context import StepContext
from elastic.engine.writing_aggregation import check_sink
from elastic.interceptors.default_progress import default_progress
from elastic.persistence.home import RANDOM_BYTES, Home, new_run_id
from elastic.persistence.run_store.memory_store import MemoryRunStore
from elastic.persistence.run_store.sqlite_store import SqliteRunStore
from elastic.stages.transport.transport import Limits
from elastic.stages.worker.pipeline import optimize

#: Bytes of a run's key.
_KEY_BYTES = 32


class FlowRun:
    """Run of one or more steps, with an id, a key and a folder, which is created when the first step is ready.

    Create one with `create` or `open`.
    """

    def __init__(self, home: Home, run_id: str, key: bytes, *, chunk_store: str, store: RunStore | None) -> None:
        self.run_id = run_id
        self.clock: Clock = SystemClock()
        self._home = home
        self._key = key
        self._chunk_store = chunk_store
        self._store = store

    @classmethod
    def create(cls, home: "str | os.PathLike[str] | None", chunk_store: str, *, persist: bool = True) -> "FlowRun":
        """Return a new run.

        Args:
            home: Folder of runs; None for that of the environment.
            chunk_store: Store for payloads of one-shot sources, see `Options`.
            persist: False keeps the run in the memory of this process.
        """
        run_id = new_run_id(SystemClock().now(), secrets.token_bytes(RANDOM_BYTES))
        key = secrets.token_bytes(_KEY_BYTES)
        store = None if persist else MemoryRunStore(run_id, key)
        return cls(home_at(home), run_id, key, chunk_store=chunk_store, store=store)

    @classmethod
    def open(cls, home: "str | os.PathLike[str] | None", name: str) -> "FlowRun":
        """Open an existing run and take its lock, which makes this process its master.

        Raises:
            UnknownRunError: There is no such run.
            RunLockedError: Another process works on the run.
            StoreError: The run cannot be opened, or is damaged.
        """
        where = home_at(home)
        store = SqliteRunStore.open(where.find(name))
        return cls(where, store.run_id, store.key, chunk_store="", store=store)

    @property
    def folder(self) -> Path:
        """Folder of this run."""
        return self._home.run_folder(self.run_id)

    @property
    def store(self) -> RunStore:
        """Store of this run, created on first access."""
        if self._store is None:
            self._store = SqliteRunStore.create(self.folder, self.run_id, self._key, chunk_store=self._chunk_store)
        return self._store

    def master(
        self,
        number: int,
        step: Step,
        *,
        resume_point: ResumePoint | None = None,
        chunker: Chunker | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Master:
        """Return a master that is ready to run a step.

        It checks all preconditions before it writes to the disk.

        Args:
            number: Number of the step in the run.
            step: The step to run.
            resume_point: Committed progress to continue from; None for a new step.
            chunker: Yields the chunks that are not committed; None cuts the source from its beginning.
            metadata: Plain data to store in the manifest of the step.

        Raises:
            ElasticError: The source, the cluster or the run folder cannot be used.
        """
        options, source = step.options, step.source
        placement = CheckedPlacement(placement_of(options.placement))
        with wrap_source_errors():
            reader, described = step.reader(), step.manifest()
        if not isinstance(reader, Reader):
            raise SourceError(f"{type(source).__name__}.reader returned {reader!r}; it must return a Reader.")
        epoch = 1 if self._store is None else self._store.epoch
        place = (self.run_id, number, epoch)
        cluster = cluster_of(options.cluster, os.environ)
        aggregator, aggregation = aggregation_of(step, self.folder, place, self._key)
        program = Program(
            reader,
            step.transforms,
            aggregator,
            options.error_policy,
            self._key,
            self.run_id,
            number,
            compressed=options.compress,
            in_columns=step.is_large_for(1 if cluster == "inline" else 1 + (options.workers or os.cpu_count() or 1)),
        )
        if options.shards is None and step.sink is None:
            # The master merges what the workers count, in the same way.
            aggregation = Aggregation(optimize(program).aggregator, self.run_id)
        chunker = chunker or Chunker(source, self.clock, project=options.project, frame=program.frame)
        manifest = {**described, **code_manifest(step), "root": ROOT_VERSION, **(metadata or {})}
        check_sink(step, described["source"], cluster)
        if resume_point is None:
            aggregation.check()
        resume_point = resume_point or ResumePoint()
        if options.chaos is not None:
            check_chaos(options.chaos, cluster)
        transport = transport_of(cluster, Limits(options.workers, options.tuning.start_timeout, options.heartbeat))
        try:
            ledger = Ledger(
                tuning=options.tuning,
                placement=placement,
                error_policy=options.error_policy,
                ordered=step.aggregator.ordered,
                resume_point=resume_point,
            )
            master = Master(
                StepContext(
                    name=step.name,
                    source=source,
                    program=program,
                    tuning=options.tuning,
                    placement=placement,
                    clock=self.clock,
                    manifest={**manifest, "cluster": cluster, "node": transport.node_id},
                    aggregation=aggregation,
                ),
                chunker=chunker,
                ledger=ledger,
                transport=with_chaos(transport, options.chaos, ledger.counters),
                store=self.store,
                interceptors=InterceptorDispatch(
                    _interceptors_of(options), program.signer, transport.node_id, done=len(resume_point.folded)
                ),
            )
            aggregation.restore(resume_point.states)
            aggregation.open()
            return master
        except ElasticError:
            transport.close()
            raise

    def close(self) -> None:
        """Release the run's lock and files, and delete old runs if the settings say so; may be called twice."""
        if self._store is not None:
            is_durable = self._store.is_durable
            self._store.close()
            self._store = None
            if is_durable:
                prune_by_settings(self._home)


def run(step: Step, *, metadata: Mapping[str, Any] | None = None) -> Result:
    """Run one step as a separate run.

    Args:
        step: The step to run.
        metadata: Plain data to store in the manifest of the step.

    Raises:
        ElasticError: The step could not start, or did not complete.
    """
    options = step.options
    flow_run = FlowRun.create(options.home, options.chunk_store, persist=options.persist)
    try:
        return flow_run.master(0, step, metadata=metadata).run().check()
    except KeyboardInterrupt as interrupt:
        raise concise(interrupt) from None
    finally:
        with hold_interrupts():
            flow_run.close()


def _interceptors_of(options: Options) -> list[Interceptor]:
    """Return the interceptors of a step, with its progress bar."""
    return [*options.interceptors, *(default_progress(options.interceptors) if options.progress else ())]


def home_at(home: "str | os.PathLike[str] | None") -> Home:
    """Return the home in a folder; None for that of the environment."""
    return Home.of(os.environ) if home is None else Home(local_path("home", home).expanduser().absolute())
