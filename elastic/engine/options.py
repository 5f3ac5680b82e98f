"""Options of a step: given by name, checked at once.

Each option is a field of `Options`, of `EngineTuning` or of `ErrorPolicy`, where its default and meaning stand. Only
`GivenOptions` names them again, because the type checker cannot derive it; a test compares the two.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict

from elastic.core.callables import check_plain
from elastic.core.contracts.heartbeat import Heartbeat
from elastic.core.contracts.interceptor import Interceptor
from elastic.core.contracts.placement import Placement
from elastic.core.contracts.store import ChunkStore
from elastic.core.errors import UsageError
from elastic.core.local_path import local_path
from elastic.core.partitioning import BUCKETS
from elastic.core.policies.chaos import Chaos, chaos_of, chaos_of_spirits
from elastic.core.policies.engine_tuning import FORMER_NAMES, EngineTuning
from elastic.core.policies.error_policy import ErrorPolicy, OnError
from elastic.core.suggest import did_you_mean
from elastic.engine.chunker import Projection
from elastic.engine.interceptor_dispatch import interceptors_of
from elastic.engine.placement import placement_of
from elastic.persistence.chunk_store.registry import kind_name
from elastic.persistence.result_files.row_writers import FORMATS

#: Seconds between collections of a step with shards, unless the user gives `collect_interval`.
_SHARDED_COLLECT_INTERVAL = 10.0

#: The same for a step that writes records to files.
_WRITING_COLLECT_INTERVAL = 30.0

#: Seconds and bytes of a call if each batch may become a file.
_ORDERED_CALL_SECONDS, _ORDERED_CALL_BYTES = 1.0, 32 << 20


class GivenOptions(TypedDict, total=False):
    """Keyword arguments of `run`, for the type checker; `Options` documents them."""

    name: str
    cluster: str | None
    workers: int | None
    stages: int | None
    shards: int | None
    write_to: str | os.PathLike[str] | None
    placement: str | Placement | type[Placement]
    interceptor: Interceptor | type[Interceptor] | Sequence[Interceptor | type[Interceptor]]
    project: Projection
    chunk_store: str | type[ChunkStore]
    persist: bool
    compress: bool
    progress: bool
    home: str | os.PathLike[str]
    target_call_seconds: float
    max_chunks_per_call: int
    max_bytes_per_call: int
    calls_per_worker: int
    max_chunks_in_flight: int
    max_bytes_in_flight: int
    collect_interval: float
    commit_interval: float
    start_timeout: float
    speculation_timeout: float
    disk_full_timeout: float
    max_worker_losses: int
    on_error: str
    max_errors: int
    max_error_ratio: float
    retries: Mapping[type[BaseException], int] | int
    retry_delay: float
    chunk_timeout: float
    whole_chunks: bool
    heartbeat: Heartbeat
    chaos: Chaos | str | int | None
    chaos_spirits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of a step."""

    #: name of the step in messages and in the run store; None for the name that the flow suggests
    name: str | None = None
    #: `inline` (this process, one thread), `local` (embedded Ray), `auto` or `host:port` (a Ray cluster); None for the
    #: cluster at RAY_ADDRESS, or `local` if that is not set
    cluster: str | None = None
    #: maximum number of workers; None for one per CPU. ElasticFlow's `stages` is an alias
    workers: int | None = None
    #: number of shards into which the result is partitioned by key, each in a file; None for one result in memory
    shards: int | None = None
    #: with shards: folder in which each shard also writes a file; its suffix selects `.jsonl`, `.parquet` or `.arrow`
    write_to: Path | None = None
    #: policy that chooses the node of the next chunks: a name, a class or an object
    placement: str | Placement | type[Placement] = "round_robin"
    #: observers of the step; given as `interceptor`
    interceptors: tuple[Interceptor, ...] = ()
    #: when a silent process counts as lost
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    #: function that drops the parts of a chunk's entries that workers do not need, before the master sends them; only
    #: for sources that the master reads
    project: Projection | None = None
    #: store for payloads of one-shot sources: `segment` (few files), `directory` (one file per chunk), or a class
    #: derived from `elastic.ChunkStore`, which the run records as `module:Class`
    chunk_store: str = "segment"
    #: True: the run stays in its folder and can be resumed, verified and redriven; False: it ends with this process
    persist: bool = True
    #: whether payloads, returned states and stored chunks are compressed; a resume may change it
    compress: bool = True
    #: whether a run of more than two seconds shows a progress bar on a terminal (standard error) or in a notebook
    progress: bool = True
    #: folder of runs; None for ELASTIC_HOME, or `~/.elastic` if that is not set
    home: Path | None = None
    #: sizes, intervals and timeouts; its fields are options too
    tuning: EngineTuning = field(default_factory=EngineTuning)
    #: treatment of entries on which user functions fail; its fields are options too
    error_policy: ErrorPolicy = field(default_factory=ErrorPolicy)
    #: faults to inject; given as a Chaos, as names of faults (`drop,kill-worker`), or as ElasticFlow's `chaos_spirits`
    chaos: Chaos | None = None
    #: names of the options that the user has given; the settings change none of them
    given: frozenset[str] = field(default=frozenset(), compare=False, repr=False)

    def updated(self, given: Mapping[str, Any]) -> "Options":
        """Return these options with the given ones replaced.

        Raises:
            UsageError: A name is unknown (the message suggests the nearest one), or a value is invalid.
        """
        unknown = set(given) - OPTION_NAMES
        if unknown:
            raise UsageError(_explain_unknown(min(unknown)))
        if "stages" in given:
            given = _without_stages(given)
        own = {name: getattr(self, name) for name in self.__slots__}
        tuning = {name: getattr(self.tuning, name) for name in EngineTuning.__slots__}
        policy = {name: getattr(self.error_policy, name) for name in ErrorPolicy.__slots__}
        for name, value in given.items():
            if name == "interceptor":
                own["interceptors"] = (*self.interceptors, *interceptors_of(value))
            elif name in _CHAOS:
                own["chaos"] = _CHAOS[name](value)
            else:
                section = policy if name in policy else tuning if name in tuning else own
                section[name] = _CONVERTERS[name](value) if name in _CONVERTERS else value
        if given.get("shards") is not None and "collect_interval" not in given and self.shards is None:
            # States that are collected later combine more entries, and the exchange is the expensive part.
            tuning["collect_interval"] = max(_SHARDED_COLLECT_INTERVAL, self.tuning.collect_interval)
        own["given"] = self.given | set(given)
        own["home"] = None if own["home"] is None else _folder("home", own["home"])
        if own["write_to"] is not None:
            own["write_to"] = _folder("write_to", own["write_to"])
        return Options(**{**own, "tuning": EngineTuning(**tuning), "error_policy": ErrorPolicy(**policy)})

    def with_defaults(self, defaults: Mapping[str, Any]) -> "Options":
        """Return these options with `defaults` for those that the user has not given.

        Raises:
            UsageError: A default is invalid.
        """
        missing = {name: value for name, value in defaults.items() if name not in self.given}
        if self.shards is not None and "collect_interval" in missing:
            missing["collect_interval"] = max(_SHARDED_COLLECT_INTERVAL, missing["collect_interval"])
        return self.updated(missing) if missing else self

    def for_writing(self, *, ordered: bool) -> "Options":
        """Return these options for a step that writes files, with larger defaults, so that it writes fewer files.

        A collection ends files. So does a batch that does not follow the one before it, if files keep the order.
        """
        wanted = {"collect_interval": _WRITING_COLLECT_INTERVAL}
        if ordered:
            wanted |= {"target_call_seconds": _ORDERED_CALL_SECONDS, "max_bytes_per_call": _ORDERED_CALL_BYTES}
        larger = {
            name: max(least, getattr(self.tuning, name)) for name, least in wanted.items() if name not in self.given
        }
        return replace(self, tuning=replace(self.tuning, **larger))

    def __post_init__(self) -> None:
        placement_of(self.placement)
        if self.workers is not None and (type(self.workers) is not int or self.workers < 1):
            raise UsageError(f"workers={self.workers!r} must be a whole number above 0, or left out.")
        if self.shards is not None:
            self._check_shards(self.shards)
        if self.write_to is not None:
            self._check_write_to(self.write_to)
        for name in ("persist", "compress", "progress"):
            if not isinstance(getattr(self, name), bool):
                raise UsageError(f"{name}={getattr(self, name)!r} must be True or False.")
        for name in ("name", "cluster"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value):
                raise UsageError(f"{name}={value!r} must be a non-empty string.")
        if not isinstance(self.heartbeat, Heartbeat):
            raise UsageError(
                f"heartbeat={self.heartbeat!r} must be a Heartbeat, such as elastic.Heartbeat(timeout=10)."
            )
        if self.project is not None and not callable(self.project):
            raise UsageError(f"project={self.project!r} must be a function of a list of entries.")
        check_plain("project", self.project)

    def _check_shards(self, shards: Any) -> None:
        if type(shards) is not int or not 1 <= shards <= BUCKETS:
            raise UsageError(f"shards={shards!r} must be a whole number from 1 to {BUCKETS}, or left out.")
        if not self.persist:
            raise UsageError(f"shards={shards} stores the result in files, persist=False stores none; leave out one.")

    def _check_write_to(self, folder: Path) -> None:
        if self.shards is None:
            raise UsageError(f"write_to={str(folder)!r} writes one file per shard; pass shards=N as well.")
        if folder.suffix not in FORMATS:
            raise UsageError(f"write_to={str(folder)!r} must be a folder whose name ends in {' or '.join(FORMATS)}.")


def _on_error(value: Any) -> OnError:
    if value not in list(OnError):
        raise UsageError(f"on_error={value!r} must be one of {', '.join(OnError)}.")
    return OnError(value)


def _retries(value: Any) -> tuple[tuple[type[BaseException], int], ...]:
    """Return retries by exception class; a plain number applies to every exception."""
    by_class = value if isinstance(value, Mapping) else {Exception: value}
    for kind, times in by_class.items():
        if not (isinstance(kind, type) and issubclass(kind, BaseException)) or type(times) is not int or times < 0:
            raise UsageError(f"retries={value!r} must be a count, or a dict from exception class to count.")
    # The most specific class comes first, because the first match applies.
    return tuple(sorted(by_class.items(), key=lambda item: -len(item[0].__mro__)))


#: Options that set `Options.chaos`.
_CHAOS = {"chaos": chaos_of, "chaos_spirits": chaos_of_spirits}

#: Fields of `Options` that are not options themselves.
_NO_OPTIONS = {"tuning", "error_policy", "interceptors", "given"}

#: All names that `updated` takes.
OPTION_NAMES = (
    {*Options.__slots__, *EngineTuning.__slots__, *ErrorPolicy.__slots__} - _NO_OPTIONS
    | {"interceptor", "stages"}
    | set(_CHAOS)
)

#: Former names of options, with the spelling that replaces each.
_RENAMED = {"trim": "project", **FORMER_NAMES}

#: Former options whose values changed too, with advice.
_REPLACED = {
    "splittable": "give whole_chunks=True in place of splittable=False",
    "durability": "give persist=False in place of durability='off'",
}

_NO_HASH = (
    "chunks are not assigned by a hash: each goes to a free worker, so a slow worker delays none; give shards= to "
    "partition the result by key, or placement= to choose nodes"
)

#: Names of ElasticFlow's `distribute_options` without a meaning here, with the reason.
_OF_ELASTICFLOW = dict.fromkeys(("hash", "partition", "partition_hash"), _NO_HASH)

#: Options that the user gives in another form than `Options` stores.
_CONVERTERS: dict[str, Callable[[Any], Any]] = {"on_error": _on_error, "retries": _retries, "chunk_store": kind_name}


def _folder(name: str, value: Any) -> Path:
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise UsageError(f"{name}={value!r} must be the path of a folder.")
    try:
        # Resolved now, because the working folder may change later and differs on workers.
        return local_path(name, value).expanduser().absolute()
    except RuntimeError as error:
        raise UsageError(f"{name}={value!r} cannot be resolved ({error}); give the path of a folder.") from error


def _without_stages(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with `workers` in place of ElasticFlow's `stages`."""
    others = {name: value for name, value in given.items() if name != "stages"}
    stages = given["stages"]
    if stages is not None and (type(stages) is not int or stages < 1):
        raise UsageError(f"stages={stages!r} must be a whole number above 0, or left out.")
    if others.get("workers", stages) != stages:
        raise UsageError(f"stages={stages!r} and workers={others['workers']!r} mean the same; leave out one of them.")
    return others | {"workers": stages}


def _explain_unknown(name: str) -> str:
    if name in _RENAMED:
        return f"option {name!r} was renamed; use {_RENAMED[name]!r}."
    if name in _REPLACED:
        return f"option {name!r} was replaced; {_REPLACED[name]}."
    if name in _OF_ELASTICFLOW:
        return f"there is no option {name!r}, because {_OF_ELASTICFLOW[name]}."
    known = GivenOptions.__annotations__
    hint = did_you_mean(name, known, f"options are {', '.join(known)}.")
    return f"there is no option {name!r}; {hint}"
