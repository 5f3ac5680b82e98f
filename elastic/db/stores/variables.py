"""Store of variables by key, with encrypted values."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from sqlalchemy import delete, select, update

from elastic.config.secret_mask import hide_all, secrets_in
from elastic.dag.ids import check_key
from elastic.db import audit
from elastic.db.database import Database
from elastic.db.encryption import Cipher
from elastic.db.errors import RowExistsError, SecretError, UnknownRowError
from elastic.db.matching import insert_if_absent, same
from elastic.db.records import Variable
from elastic.db.schema import variable as table


class VariableStore:
    """Store of the variables of a metadata database."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database, self._cipher = database, cipher

    def find(self, key: str) -> Variable | None:
        """Return a variable, or None if the key is unknown. Logs mask its value if its name suggests a secret.

        Raises:
            SecretError: The value cannot be decrypted.
        """
        query = select(table).where(same(table.c.key, key))
        row = self._database.query(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            return None
        found = self._read(row)
        hide_all(secrets_in(found.value, key))
        return found

    def get(self, key: str) -> Variable:
        """Return a variable.

        Raises:
            UnknownRowError: The key is unknown.
            SecretError: The value cannot be decrypted.
        """
        found = self.find(key)
        if found is None:
            raise UnknownRowError("variable", key, f"set it with `elastic variables set {key} VALUE`")
        return found

    def keys(self) -> list[tuple[str, str | None]]:
        """Return all keys with their descriptions. No Fernet key is needed."""
        query = select(table.c.key, table.c.description).order_by(table.c.key)
        return [tuple(row) for row in self._database.query(lambda connection: connection.execute(query).all())]

    def all(self) -> list[Variable]:
        """Return all variables with their decrypted values."""
        query = select(table).order_by(table.c.key)
        return [self._read(row) for row in self._database.query(lambda connection: connection.execute(query).all())]

    def readable(self) -> Iterator[Variable]:
        """Yield the variables whose values can be decrypted."""
        query = select(table)
        for row in self._database.query(lambda connection: connection.execute(query).all()):
            with suppress(SecretError):
                yield self._read(row)

    def put(self, key: str, value: str, description: str | None = None, *, is_new: bool = False) -> None:
        """Store a variable, replacing its old value.

        Args:
            key: The key.
            value: The value.
            description: None keeps the old description.
            is_new: Whether the key must be free.

        Raises:
            RowExistsError: The key is taken and `is_new` is True.
            MissingKeyError: There is no Fernet key. Nothing was stored.
        """
        self.put_all({key: value}, description, is_new=is_new)

    def put_all(self, values: Mapping[str, str], description: str | None = None, *, is_new: bool = False) -> None:
        """Store variables as `put` does, all or none."""
        rows = [
            {"key": check_key("variable", key), "value": self._cipher.encrypt(_value(key), value)}
            for key, value in values.items()
        ]
        optional = {} if description is None else {"description": description}

        def work(connection: Any, again: bool) -> None:
            for row in rows:
                if connection.execute(insert_if_absent(connection, table), {**row, **optional}).rowcount != 1:
                    if is_new and not again:
                        raise RowExistsError("variable", row["key"], "choose another name, or change that one")
                    change = update(table).where(table.c.key == row["key"])
                    connection.execute(change.values(value=row["value"], **optional))
                audit.note(connection, "variable set", row["key"])

        self._database.write(work)

    def delete(self, key: str) -> None:
        """Delete a variable.

        Raises:
            UnknownRowError: The key is unknown.
        """

        def work(connection: Any, again: bool) -> None:
            if not connection.execute(delete(table).where(same(table.c.key, key))).rowcount and not again:
                raise UnknownRowError("variable", key, "`elastic variables list` lists them")
            audit.note(connection, "variable deleted", key)

        self._database.write(work)

    def rotate(self) -> int:
        """Encrypt all values with the newest key, all or none; return their number.

        Raises:
            SecretError: A value cannot be decrypted. Nothing was changed.
        """

        def work(connection: Any, _: bool) -> int:
            rows = connection.execute(select(table)).all()
            for row in rows:
                value = self._cipher.encrypt(_value(row.key), self._read(row).value)
                connection.execute(update(table).where(table.c.key == row.key).values(value=value))
            return len(rows)

        return self._database.write(work)

    def _read(self, row: Any) -> Variable:
        value = self._cipher.decrypt(_value(row.key), row.value)
        return Variable(key=row.key, value=value, description=row.description)


def _value(key: str) -> str:
    return f"the value of variable {key!r}"
