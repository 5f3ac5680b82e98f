"""Store of the answers to requests with idempotency keys. It contains digests of the keys."""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select, update

from elastic.db.database import Database
from elastic.db.matching import insert_if_absent
from elastic.db.schema import idempotency_key as table

#: Period for which an answer is kept.
KEEP_PERIOD = dt.timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """Answer to a request; without a status while the request runs."""

    request_digest: str
    status: int | None
    #: JSON object
    headers: str | None
    body: str | None


class IdempotencyKeyStore:
    """Store of answers by the digest of user and key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, digest: str, request_digest: str, time: dt.datetime) -> KeptAnswer | None:
        """Note a request that is about to be answered, and remove answers that are older than a day.

        Args:
            digest: Digest of the user and the key.
            request_digest: Digest of the request.
            time: The present time.

        Returns:
            The stored answer if the key is known; None for a new key.
        """
        row = {"digest": digest, "request_digest": request_digest, "at": time}
        columns = [table.c[name] for name in KeptAnswer.__dataclass_fields__]

        def work(connection: Connection, again: bool) -> KeptAnswer | None:
            connection.execute(delete(table).where(table.c.at < time - KEEP_PERIOD))
            if connection.execute(insert_if_absent(connection, table), row).rowcount == 1:
                return None
            found = connection.execute(select(*columns).where(table.c.digest == digest)).one()
            kept = KeptAnswer(**found._mapping)
            is_ours = again and kept.status is None and kept.request_digest == request_digest
            return None if is_ours else kept

        return self._database.write(work)

    def finish(self, digest: str, status: int, headers: str, body: str) -> None:
        """Store an answer.

        Args:
            digest: Digest of the user and the key.
            status: The HTTP status.
            headers: JSON object.
            body: The body.
        """
        change = update(table).where(table.c.digest == digest).values(status=status, headers=headers, body=body)
        self._database.write(lambda connection, _: connection.execute(change))

    def forget(self, digest: str) -> None:
        """Remove a request that failed, so that it can be repeated."""
        self._database.write(lambda connection, _: connection.execute(delete(table).where(table.c.digest == digest)))
