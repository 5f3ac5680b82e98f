"""Shared parts of all tables: names of constraints, and column types that are equivalent in every database."""

import datetime as dt
from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, LargeBinary, MetaData, String, Text
from sqlalchemy import DateTime as _DateTime
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine

from elastic.core.text import writable

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: Maximum length of an id of a DAG, a run or a task (characters).
KEY_LENGTH = 250

#: Case-sensitive ASCII key. By default, MySQL would treat "A" and "a" as equal, and reject a primary key of three such
#: columns as too long.
Key = String(KEY_LENGTH).with_variant(
    mysql.VARCHAR(KEY_LENGTH, charset="ascii", collation="ascii_bin"), "mysql", "mariadb"
)
#: Value of a closed list: a state, a kind or a mode.
Word = String(32).with_variant(mysql.VARCHAR(32, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")
#: UUID or digest in hexadecimal digits.
Digest = String(64).with_variant(mysql.VARCHAR(64, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")


class Writable(TypeDecorator[str]):
    """String type for user data: escapes characters that a database rejects, and truncates long values.

    It is not for keys or for values that programs read back, which must be rejected instead of changed.

    Args:
        length: Length of the column (characters); None for no limit.
        max_length: Maximum number of characters to store.
    """

    impl = String
    cache_ok = True

    def __init__(self, length: int | None = None, max_length: int | None = None) -> None:
        super().__init__(length)
        self.length = length
        self.max_length = length if max_length is None else max_length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if self.length is not None:
            return dialect.type_descriptor(String(self.length))
        # MySQL's TEXT ends at 64 KiB.
        return dialect.type_descriptor(mysql.LONGTEXT() if dialect.name in ("mysql", "mariadb") else Text())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else writable(value, self.max_length)


#: String of any length.
LongText = Writable()
#: Message for people. It is limited because MySQL accepts statements up to 16 MiB.
Prose = Writable(max_length=64 * 1024)
#: Name for display only.
Label = Writable(250)
#: Bytes of any length.
LongBytes = LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
#: Row number. SQLite generates row numbers only for the type INTEGER.
Serial = BigInteger().with_variant(Integer(), "sqlite")


class Instant(TypeDecorator[dt.datetime]):
    """Aware time in UTC with microseconds. Only PostgreSQL stores time zones itself."""

    impl = _DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(_DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        if value is None:
            return None
        utc = value.astimezone(dt.UTC)
        return utc if dialect.name == "postgresql" else utc.replace(tzinfo=None)

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


#: Options of every table. MySQL's default character set may not cover Unicode.
OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}
