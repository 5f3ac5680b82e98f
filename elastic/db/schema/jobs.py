"""Tables of jobs (processes that run task instances) and of pools (slots that task instances share)."""

from sqlalchemy import Column, Index, Integer, String, Table

from elastic.db.schema.types import OPTIONS, Instant, Key, Label, LongText, Serial, Word, metadata

job = Table(
    "job",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    #: for example BackfillJob
    Column("kind", String(64), nullable=False),
    Column("state", Word, nullable=False),
    Column("dag_id", Key),
    Column("executor", Label),
    #: of a worker: names of its queues, separated by commas, and the tasks that it runs at the same time
    Column("queues", LongText),
    Column("parallelism", Integer),
    #: of a master: figures about its work (JSON), for metrics
    Column("figures", LongText),
    Column("host", Label, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("owner", Label),
    Column("started_at", Instant, nullable=False),
    #: by the clock of the database
    Column("heartbeat_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Index(None, "state"),
    **OPTIONS,
)


#: Pool of tasks without a pool setting.
DEFAULT_POOL = "default"
#: Slots of the default pool until a user changes them.
DEFAULT_SLOTS = 128

pool = Table(
    "pool",
    metadata,
    Column("pool", Key, primary_key=True),
    #: -1 for no limit
    Column("slots", Integer, nullable=False),
    Column("description", LongText),
    **OPTIONS,
)
