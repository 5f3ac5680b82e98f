"""What all tables share: the names of their constraints, and types that mean the same in every database."""

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

#: Characters of an id of a DAG, a run or a task, at most.
KEY_LENGTH = 250

#: Keys are ASCII and differ by case. MySQL would otherwise hold "A" and "a" for one key, and refuse a primary key of
#: three such columns as too long.
Key = String(KEY_LENGTH).with_variant(
    mysql.VARCHAR(KEY_LENGTH, charset="ascii", collation="ascii_bin"), "mysql", "mariadb"
)
#: Names of a closed list: states, kinds, modes.
Word = String(32).with_variant(mysql.VARCHAR(32, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")
#: A uuid or a digest in hexadecimal digits.
Digest = String(64).with_variant(mysql.VARCHAR(64, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")


class Writable(TypeDecorator[str]):
    """Text that came from data: what a database would refuse of it is escaped, and what is too long is shortened.

    Not for keys and not for what programs read back by value: they must be refused instead of changed.

    Args:
        length: The characters of the column; None for text of any length.
        longest: The most characters that are kept.
    """

    impl = String
    cache_ok = True

    def __init__(self, length: int | None = None, longest: int | None = None) -> None:
        super().__init__(length)
        self.length = length
        self.longest = length if longest is None else longest

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if self.length is not None:
            return dialect.type_descriptor(String(self.length))
        # MySQL's TEXT ends at 64 KiB.
        return dialect.type_descriptor(mysql.LONGTEXT() if dialect.name in ("mysql", "mariadb") else Text())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else writable(value, self.longest)


#: Text of any length.
LongText = Writable()
#: What happened, as people read it. MySQL takes no statement of more than 16 MiB.
Prose = Writable(longest=64 * 1024)
#: A name that is shown and decides nothing.
Label = Writable(250)
#: Bytes of any length.
LongBytes = LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
#: A number that counts rows; SQLite numbers rows by itself only where the type is INTEGER.
Serial = BigInteger().with_variant(Integer(), "sqlite")


class Instant(TypeDecorator[dt.datetime]):
    """An aware time, kept in UTC to the microsecond; only PostgreSQL keeps time zones itself."""

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


#: Of every table: MySQL's own default may be a character set that has no place for most of the world's letters.
OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}
