"""Options: how a step is carried out, given by name and checked at once."""

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
from elastic.core.policies.engine_tuning import EngineTuning
from elastic.core.policies.error_policy import ErrorPolicy, OnError
from elastic.engine.chunker import Trim
from elastic.engine.interceptor_dispatch import interceptors_of
from elastic.engine.placement import placement_of
from elastic.persistence.chunk_store.registry import kind_name
from elastic.persistence.result_files.row_writers import FORMATS

#: Seconds between collections of a step with shards, where none are given.
_SHARDED_COLLECT_SECONDS = 10.0

_DURABILITIES = ("on", "off")


class GivenOptions(TypedDict, total=False):
    """The names under which options are given to `run`, for the type checker; `Options` says what they mean."""

    name: str
    cluster: str | None
    workers: int | None
    stages: int | None
    shards: int | None
    write_to: str | os.PathLike[str] | None
    placement: str | Placement | type[Placement]
    interceptor: Interceptor | type[Interceptor] | Sequence[Interceptor | type[Interceptor]]
    trim: Trim
    chunk_store: str | type[ChunkStore]
    durability: str
    compress: bool
    home: str | os.PathLike[str]
    call_seconds: float
    call_chunks: int
    call_bytes: int
    calls_per_worker: int
    look_ahead: int
    look_ahead_bytes: int
    collect_seconds: float
    commit_seconds: float
    start_timeout: float
    speculate_seconds: float
    full_disk_seconds: float
    max_attempts: int
    on_error: str
    max_errors: int
    max_error_ratio: float
    retries: Mapping[type[BaseException], int] | int
    retry_delay: float
    chunk_timeout: float
    splittable: bool
    heartbeat: Heartbeat
    chaos: Chaos | str | int | None
    chaos_spirits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a step is carried out."""

    #: names the step in messages and in the run store; None for what the flow suggests
    name: str | None = None
    #: `inline` (this process, one thread), `local` (embedded Ray), `auto` or `host:port` (a Ray cluster); None for the
    #: cluster at RAY_ADDRESS, and `local` where that is not set
    cluster: str | None = None
    #: workers at most; None for one per CPU. ElasticFlow's `stages` is another name for it
    workers: int | None = None
    #: the result is divided by key in so many parts, which stay in files; None keeps it whole, in memory
    shards: int | None = None
    #: with shards: a folder where each of them writes a file as well, `.jsonl`, `.parquet` or `.arrow` as its name ends
    write_to: Path | None = None
    #: which node gets the next chunks: a name, a class or an object
    placement: str | Placement | type[Placement] = "round_robin"
    #: what watches the step
    interceptors: tuple[Interceptor, ...] = ()
    #: when a silent process counts as lost
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    #: leaves out of a chunk's entries what the workers do not need, before it is sent; for sources read by the master
    trim: Trim | None = None
    #: how payloads of one-shot sources are kept: `segment` (few files), `directory` (one file a chunk), or a class that
    #: derives from `elastic.ChunkStore`, or `module:Class`, by which the run keeps it
    chunk_store: str = "segment"
    #: `on`: the run is kept in its folder and can be resumed, verified and redriven; `off`: it is gone with this
    #: process
    durability: str = "on"
    #: payloads, the states that come back and the chunks that are kept are compressed; a run can be resumed with either
    compress: bool = True
    #: where runs are kept; None for ELASTIC_HOME, and `~/.elastic` where that is not set
    home: Path | None = None
    settings: EngineTuning = field(default_factory=EngineTuning)
    #: what becomes of entries that user code fails on
    tolerance: ErrorPolicy = field(default_factory=ErrorPolicy)
    #: what strikes the step on purpose; given as a Chaos, as names of spirits (`drop,kill-worker`), or as ElasticFlow's
    #: `chaos_spirits`, which is a name of its own too
    chaos: Chaos | None = None

    def updated(self, given: Mapping[str, Any]) -> "Options":
        """Return these options with others in their place.

        Raises:
            UsageError: A name is unknown (the nearest one is told), or a value is not what the option takes.
        """
        unknown = set(given) - set(GivenOptions.__annotations__)
        if unknown:
            raise UsageError(_unknown(min(unknown)))
        if "stages" in given:
            given = _without_stages(given)
        own = {name: getattr(self, name) for name in self.__slots__}
        tuned = {name: getattr(self.settings, name) for name in EngineTuning.__slots__}
        borne = {name: getattr(self.tolerance, name) for name in ErrorPolicy.__slots__}
        for name, value in given.items():
            if name in borne:
                borne[name] = _PREPARED.get(name, lambda same: same)(value)
            elif name in tuned:
                tuned[name] = value
            elif name == "interceptor":
                own["interceptors"] = (*self.interceptors, *interceptors_of(value))
            elif name in _CHAOS:
                own["chaos"] = _CHAOS[name](value)
            else:
                own[name] = _PREPARED.get(name, lambda same: same)(value)
        if given.get("shards") is not None and "collect_seconds" not in given and self.shards is None:
            # What is collected later is combined more, and it is the exchange that takes the time.
            tuned["collect_seconds"] = max(_SHARDED_COLLECT_SECONDS, self.settings.collect_seconds)
        own["home"] = None if own["home"] is None else _folder("home", own["home"])
        if own["write_to"] is not None:
            own["write_to"] = _folder("write_to", own["write_to"])
        return Options(**{**own, "settings": EngineTuning(**tuned), "tolerance": ErrorPolicy(**borne)})

    def __post_init__(self) -> None:
        placement_of(self.placement)
        if self.workers is not None and (type(self.workers) is not int or self.workers < 1):
            raise UsageError(f"workers={self.workers!r} must be a whole number above 0, or left out.")
        if self.shards is not None:
            self._check_shards(self.shards)
        if self.write_to is not None:
            self._check_write_to(self.write_to)
        if self.durability not in _DURABILITIES:
            raise UsageError(f"durability={self.durability!r} must be one of {', '.join(_DURABILITIES)}.")
        if not isinstance(self.compress, bool):
            raise UsageError(f"compress={self.compress!r} must be True or False.")
        for name in ("name", "cluster"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value):
                raise UsageError(f"{name}={value!r} must be a text.")
        if not isinstance(self.heartbeat, Heartbeat):
            raise UsageError(
                f"heartbeat={self.heartbeat!r} must be a Heartbeat, such as elastic.Heartbeat(timeout=10)."
            )
        if self.trim is not None and not callable(self.trim):
            raise UsageError(f"trim={self.trim!r} must be a function of a list of entries.")
        check_plain("trim", self.trim)

    def _check_shards(self, shards: Any) -> None:
        if type(shards) is not int or not 1 <= shards <= BUCKETS:
            raise UsageError(f"shards={shards!r} must be a whole number from 1 to {BUCKETS}, or left out.")
        if self.durability == "off":
            raise UsageError(f"shards={shards} keeps the result in files, and durability='off' nothing; leave out one.")

    def _check_write_to(self, folder: Path) -> None:
        if self.shards is None:
            raise UsageError(f"write_to={str(folder)!r} has each shard write a file; give shards=N as well.")
        if folder.suffix not in FORMATS:
            raise UsageError(f"write_to={str(folder)!r} must be a folder whose name ends in {' or '.join(FORMATS)}.")


def _on_error(value: Any) -> OnError:
    if value not in list(OnError):
        raise UsageError(f"on_error={value!r} must be one of {', '.join(OnError)}.")
    return OnError(value)


def _retries(value: Any) -> tuple[tuple[type[BaseException], int], ...]:
    """Return retries by exception class; a number alone is for every exception."""
    by_class = value if isinstance(value, Mapping) else {Exception: value}
    for kind, times in by_class.items():
        if not (isinstance(kind, type) and issubclass(kind, BaseException)) or type(times) is not int or times < 0:
            raise UsageError(f"retries={value!r} must be a number of times, or a dict from exception class to one.")
    # The most special class first: it is the one that counts.
    return tuple(sorted(by_class.items(), key=lambda item: -len(item[0].__mro__)))


#: The names under which chaos is given.
_CHAOS = {"chaos": chaos_of, "chaos_spirits": chaos_of_spirits}

_BY_HASH = (
    "chunks are not dealt out by a hash: each goes to a worker that is free, so a slow one holds up nothing; give "
    "shards= for a result that is divided by key, or placement= to choose nodes"
)

#: Names of ElasticFlow's `distribute_options` that mean nothing here, and why.
_OF_ELASTICFLOW = dict.fromkeys(("hash", "partition", "partition_hash"), _BY_HASH)

#: Options that are given in another form than they are kept in.
_PREPARED: dict[str, Callable[[Any], Any]] = {"on_error": _on_error, "retries": _retries, "chunk_store": kind_name}


def _folder(name: str, value: Any) -> Path:
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise UsageError(f"{name}={value!r} must be the path of a folder.")
    try:
        # Now: a later change of the working folder does not move it, and workers have other ones.
        return local_path(name, value).expanduser().absolute()
    except RuntimeError as error:
        raise UsageError(f"{name}={value!r} leads nowhere ({error}); give the path of a folder.") from error


def _without_stages(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with `workers` in the place of ElasticFlow's `stages`."""
    others = {name: value for name, value in given.items() if name != "stages"}
    stages = given["stages"]
    if stages is not None and (type(stages) is not int or stages < 1):
        raise UsageError(f"stages={stages!r} must be a whole number above 0, or left out.")
    if others.get("workers", stages) != stages:
        raise UsageError(f"stages={stages!r} and workers={others['workers']!r} mean the same; leave out one of them.")
    return others | {"workers": stages}


def _unknown(name: str) -> str:
    if name in _OF_ELASTICFLOW:
        return f"there is no option {name!r}, because {_OF_ELASTICFLOW[name]}."
    near = difflib.get_close_matches(name, GivenOptions.__annotations__, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"options are {', '.join(GivenOptions.__annotations__)}."
    return f"there is no option {name!r}; {hint}"
