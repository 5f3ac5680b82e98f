"""Table of notifications: an outbox, filled by the transactions that end attempts and runs, and read by senders."""

from sqlalchemy import Column, Index, Integer, Table

from elastic.db.schema.types import OPTIONS, Digest, Instant, Key, LongText, Prose, Serial, Word, Writable, metadata

notification = Table(
    "notification",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    #: digest of the event, the attempt or the ending of the run, and the recipient: a second writer changes nothing
    Column("dedup_key", Digest, nullable=False, unique=True),
    #: identifies the message in each try to send it; the notifications of a digest share one
    Column("message_key", Digest, nullable=False),
    #: failed, retry, run_failed, run_success or deadline
    Column("event", Word, nullable=False),
    #: `mailto:` URL, or id of a connection
    Column("recipient", LongText, nullable=False),
    Column("dag_id", Key, nullable=False),
    Column("run_id", Key, nullable=False),
    Column("task_id", Key),
    Column("map_index", Integer),
    Column("subject", Writable(500), nullable=False),
    #: JSON object
    Column("facts", LongText, nullable=False),
    #: waiting, sent or failed
    Column("state", Word, nullable=False),
    Column("created_at", Instant, nullable=False),
    #: time of the next try; while a sender works on it, the time at which another sender may take it
    Column("next_try_at", Instant, nullable=False),
    Column("sent_at", Instant),
    #: times that a sender has taken it
    Column("tries", Integer, nullable=False),
    Column("last_error", Prose),
    Index(None, "state", "next_try_at"),
    Index(None, "state", "sent_at"),
    Index(None, "message_key"),
    Index(None, "dag_id", "run_id"),
    **OPTIONS,
)
