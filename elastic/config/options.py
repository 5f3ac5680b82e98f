"""All settings: section, key, type, default and meaning of each."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from elastic.core.errors import UsageError
from elastic.core.local_path import local_path
from elastic.core.policies.engine_tuning import FORMER_NAMES, EngineTuning
from elastic.core.policies.error_policy import ErrorPolicy
from elastic.core.suggest import closest_name

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
#: `least` of numbers that only have to be positive
_ABOVE_ZERO = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """Definition of one setting."""

    section: str
    key: str
    #: bool, int, float or str; values of files must have this type, values of the environment must parse as it
    kind: type
    default: Any
    #: one sentence
    doc: str
    #: masked in output; `<key>_cmd` and `<key>_file` can set it too
    is_secret: bool = False
    #: whether `./elastic.toml` may set it: a file of the working folder must not run or redirect anything, nor
    #: choose the place of secrets
    is_local: bool = False
    #: minimum allowed value
    least: float | None = None
    #: allowed words, compared without case; empty for any
    words: tuple[str, ...] = ()
    #: whether the value is the path of a local file or folder
    is_path: bool = False

    @property
    def name(self) -> str:
        """`section.key`."""
        return f"{self.section}.{self.key}"

    @property
    def variable(self) -> str:
        """Name of the environment variable that sets it."""
        return f"ELASTIC__{self.section}__{self.key}".upper()

    @property
    def _limit(self) -> str:
        """The lower limit, as the end of `a number`."""
        if self.least is None:
            return ""
        return " above 0" if self.least == _ABOVE_ZERO else f" of at least {self.least:g}"

    def read(self, value: Any, place: str) -> Any:
        """Parse and check a value.

        Args:
            value: A TOML value of a file, or a string of the environment.
            place: Source of the value, for the error message.

        Raises:
            UsageError: The value has another type, is too small, or is not one of the allowed words.
        """
        read = _READERS[self.kind](value)
        if read is None or (self.least is not None and read < self.least):
            shown = "the given value" if self.is_secret else repr(value)
            raise UsageError(f"{place}: {self.name} must be {_NAMES[self.kind]}{self._limit}, not {shown}.")
        if self.words and read.lower() not in map(str.lower, self.words):
            raise UsageError(f"{place}: {self.name} must be one of {', '.join(self.words)}, not {read!r}.")
        if self.is_path:
            local_path(f"{place}: {self.name}", read, doing="using")
        return read


def _bool(value: Any) -> bool | None:
    text = str(value).strip().lower()
    return True if text in _TRUE else False if text in _FALSE else None


def _number(kind: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float | str) or (kind is int and _has_point(value)):
            return None
        try:
            read = kind(value)
        except (ValueError, OverflowError):
            return None
        return None if isinstance(read, float) and not math.isfinite(read) else read

    return read


def _has_point(value: Any) -> bool:
    return isinstance(value, float)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


_READERS: dict[type, Callable[[Any], Any]] = {bool: _bool, int: _number(int), float: _number(float), str: _text}
_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}

#: Sizes, intervals and timeouts of flows, with one sentence for each; their defaults are those of the engine.
_FLOW_TUNING = {
    "target_call_seconds": "Seconds of work that one call to a worker should carry.",
    "max_chunks_per_call": "Maximum number of chunks in one call.",
    "max_bytes_per_call": "Maximum bytes of payload in one call.",
    "calls_per_worker": "Calls that a worker has at a time: one in work, the others queued.",
    "max_chunks_in_flight": "Maximum number of chunks that are cut and not yet in the result.",
    "max_bytes_in_flight": "Maximum bytes of payload that are cut and not yet in the result.",
    "collect_interval": "Seconds between collections of a worker's state; at least 10 with shards.",
    "commit_interval": "Seconds between commits.",
    "start_timeout": "Seconds to wait for the first worker.",
    "speculation_timeout": "Seconds after which a slow call is also given to a second worker.",
    "disk_full_timeout": "Seconds to wait for space on a full disk before the run is suspended.",
    "max_worker_losses": "Losses of a chunk with its worker after which the step fails.",
}

#: Defaults of the options of flows, under the options' names. What becomes of failed entries (`on_error` and its
#: limits) is left to each flow: a result must not depend on the machine's settings.
_FLOW_OPTIONS: tuple[Option, ...] = (
    Option(
        section="flow",
        key="cluster",
        kind=str,
        default="",
        doc="Cluster: inline, local, auto or host:port; empty for RAY_ADDRESS, or local.",
    ),
    Option(
        section="flow",
        key="workers",
        kind=int,
        default=0,
        least=0,
        is_local=True,
        doc="Maximum number of workers; 0 for one per CPU.",
    ),
    Option(
        section="flow",
        key="placement",
        kind=str,
        default="round_robin",
        is_local=True,
        words=("round_robin", "least_open_receipts", "workers_only"),
        doc="Policy that chooses the node of the next chunks.",
    ),
    Option(
        section="flow",
        key="chunk_store",
        kind=str,
        default="segment",
        doc="Store for payloads of one-shot sources: segment, directory or module:Class.",
    ),
    Option(
        section="flow",
        key="compress",
        kind=bool,
        default=True,
        is_local=True,
        doc="Compress payloads, states and stored chunks.",
    ),
    Option(
        section="flow",
        key="progress",
        kind=bool,
        default=True,
        is_local=True,
        doc="Show a progress bar on a terminal or in a notebook for runs of more than two seconds.",
    ),
    *(
        Option(
            section="flow",
            key=name,
            kind=type(default),
            default=default,
            least=1 if isinstance(default, int) else _ABOVE_ZERO,
            is_local=True,
            doc=doc,
        )
        for name, doc in _FLOW_TUNING.items()
        for default in (getattr(EngineTuning(), name),)
    ),
    Option(
        section="flow",
        key="retry_delay",
        kind=float,
        default=ErrorPolicy().retry_delay,
        least=_ABOVE_ZERO,
        is_local=True,
        doc="Seconds before the first retry of an entry; each further pause is twice as long.",
    ),
    Option(
        section="flow",
        key="chunk_timeout",
        kind=float,
        default=0.0,
        least=0,
        is_local=True,
        doc="Seconds that one chunk may take before its worker is killed as hung; 0 for no limit.",
    ),
)

#: Options of the scheduler service: key, default, minimum and one sentence for each.
_SERVICE_OPTIONS: tuple[tuple[str, Any, float, str], ...] = (
    ("loop_interval", 1.0, 0.01, "Seconds between checks of a master for due and queued runs."),
    ("catchup_per_turn", 20, 1, "Maximum number of runs of one DAG that a master makes in one turn."),
    ("grace_timeout", 30.0, 0, "Seconds that a stopped master waits for its tasks before it kills them."),
    ("scan_interval", 5.0, 0.05, "Seconds between scans of the DAG folder."),
    ("parse_timeout", 30.0, 0.1, "Seconds that loading one DAG file may take."),
    ("parse_memory", 2 * 2**30, 2**26, "Bytes of memory that loading one DAG file may take."),
)

#: Options of the web server: key, default, minimum (of numbers) and one sentence for each.
_WEB_OPTIONS: tuple[tuple[str, Any, float | None, str], ...] = (
    ("host", "127.0.0.1", None, "Address on which the web server listens."),
    ("port", 8080, 0, "Port of the web server; 0 for any free one."),
    ("hosts", "", None, "Further host names of the web server, separated by commas."),
    ("base_url", "", None, "Public URL of the web server, such as https://elastic.example.org."),
    (
        "timezone",
        "",
        None,
        "Time zone of pages; empty for the zone of the browser. Users can choose their own.",
    ),
    (
        "test_connections",
        "",
        None,
        "Hosts of connections that admins may test on pages, separated by commas; empty for none.",
    ),
    ("idle_timeout", 8 * 3600.0, 60, "Seconds without a request after which a session ends."),
    ("absolute_timeout", 7 * 86_400.0, 60, "Seconds from the login after which a session ends in any case."),
)

#: `{home}` stands for ELASTIC_HOME.
OPTIONS: tuple[Option, ...] = (
    Option(
        section="core", key="dags_folder", kind=str, default="{home}/dags", is_path=True, doc="Folder of DAG files."
    ),
    Option(
        section="core",
        key="executor",
        kind=str,
        default="local",
        doc="Executor of tasks: sequential, local, ray, worker.",
    ),
    Option(
        section="core",
        key="dags_module",
        kind=str,
        default="",
        doc="Module that defines further DAGs, such as flows.registry; commands load it when they first need it.",
    ),
    Option(
        section="core",
        key="run_mode",
        kind=str,
        default="",
        doc="Mode of `elastic timeperiod run`: nominal, recovery, run_one or run_from; empty for nominal.",
    ),
    Option(
        section="core",
        key="queues",
        kind=str,
        default="",
        doc="Executors of further queues, such as heavy=ray*64, small=local*2, big=worker.",
    ),
    Option(
        section="core",
        key="parallelism",
        kind=int,
        default=16,
        least=1,
        is_local=True,
        doc="Maximum number of tasks that run at the same time.",
    ),
    Option(
        section="database",
        key="url",
        kind=str,
        default="sqlite:///{home}/elastic.db",
        is_secret=True,
        doc="URL of the metadata database.",
    ),
    Option(
        section="database",
        key="timeout",
        kind=float,
        default=30.0,
        least=0.001,
        is_local=True,
        doc="Seconds to wait for a database lock.",
    ),
    Option(
        section="database",
        key="patience",
        kind=float,
        default=30.0,
        least=0,
        is_local=True,
        doc="Seconds to retry while the database is unreachable.",
    ),
    Option(
        section="logs",
        key="folder",
        kind=str,
        default="{home}/logs",
        is_path=True,
        doc="Logs of tasks: <dag>/<task>/<logical date>.",
    ),
    Option(
        section="logs",
        key="flow_folder",
        kind=str,
        default="",
        is_path=True,
        doc="Logs of flows and steps: <flow>/<flow>.log, <flow>/<step>.log; empty for none.",
    ),
    Option(
        section="logs",
        key="in_database",
        kind=bool,
        default=True,
        is_local=True,
        doc="Store log lines of flows in the database.",
    ),
    Option(
        section="logs",
        key="level",
        kind=str,
        default="INFO",
        is_local=True,
        words=tuple(logging.getLevelNamesMapping()),
        doc="Minimum log level.",
    ),
    Option(
        section="secrets",
        key="fernet_key",
        kind=str,
        default="",
        is_secret=True,
        doc="Keys for connections and variables, separated by commas; the first one encrypts.",
    ),
    Option(
        section="secrets",
        key="fernet_key_path",
        kind=str,
        default="{home}/fernet.key",
        is_path=True,
        doc="File of the keys, one per line, readable only by its owner; used if fernet_key is empty.",
    ),
    Option(
        section="runs",
        key="keep_days",
        kind=float,
        default=0.0,
        least=0,
        doc="Days after which the end of a later run deletes a complete run, as `elastic runs prune`; 0 for never.",
    ),
    Option(
        section="runs",
        key="keep_last",
        kind=int,
        default=0,
        least=0,
        doc="Number of newest runs that stay then, whatever their age.",
    ),
    Option(
        section="scheduler",
        key="heartbeat",
        kind=float,
        default=5.0,
        least=0.01,
        is_local=True,
        doc="Seconds between heartbeats of a job.",
    ),
    Option(
        section="scheduler",
        key="lease",
        kind=float,
        default=30.0,
        least=0.1,
        is_local=True,
        doc="Seconds without a heartbeat after which a task counts as dead.",
    ),
    *(
        Option(section="scheduler", key=key, kind=type(default), default=default, least=least, is_local=True, doc=doc)
        for key, default, least, doc in _SERVICE_OPTIONS
    ),
    *(
        Option(section="web", key=key, kind=type(default), default=default, least=least, doc=doc)
        for key, default, least, doc in _WEB_OPTIONS
    ),
    Option(
        section="metrics",
        key="open_on_loopback",
        kind=bool,
        default=False,
        doc="Serve /metrics without a token to clients on the host of the web server.",
    ),
    Option(
        section="notify",
        key="max_per_hour",
        kind=int,
        default=60,
        least=1,
        doc="Messages to one recipient within an hour, beyond which notifications are folded into digests.",
    ),
    Option(
        section="notify",
        key="private_targets",
        kind=bool,
        default=False,
        doc="Let webhooks reach this host and private networks.",
    ),
    Option(section="smtp", key="conn_id", kind=str, default="smtp_default", doc="Connection of the mail server."),
    Option(section="smtp", key="from", kind=str, default="", doc="Sender of mails; empty for elastic@<host name>."),
    Option(
        section="bundle",
        key="signing_key_path",
        kind=str,
        default="{home}/bundle.key",
        is_path=True,
        doc="File of the key that signs bundles.",
    ),
    *_FLOW_OPTIONS,
)

BY_NAME = {option.name: option for option in OPTIONS}
SECTIONS = tuple(dict.fromkeys(option.section for option in OPTIONS))


def hint(name: str) -> str:
    """Return the advice for an unknown setting."""
    section, _, key = name.partition(".")
    if section == "flow" and key in FORMER_NAMES:
        return f"it was renamed; use '{section}.{FORMER_NAMES[key]}'."
    # The user may have left out the section.
    by_key = {option.key: option.name for option in OPTIONS}
    close = closest_name(name, BY_NAME) or by_key.get(closest_name(name, by_key), "")
    return f"did you mean {close!r}?" if close else "`elastic config list` shows all settings."
