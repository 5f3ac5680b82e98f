"""Time by the clock of the database. The clocks of hosts differ, and leases must not depend on them."""

from typing import Any

from sqlalchemy import Float, cast, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.functions import FunctionElement

from elastic.db.schema.types import Instant


class Now(FunctionElement[Any]):
    """SQL expression for the current time, plus an optional number of seconds."""

    name = "elastic_now"
    inherit_cache = True
    type = Instant()


class Seconds(FunctionElement[float]):
    """SQL expression for the seconds between two times: NULL if one is NULL, 0 if the clock was set back."""

    name = "elastic_seconds"
    inherit_cache = True
    type = Float()


def now(seconds: ColumnElement[float] | float | None = None) -> ColumnElement[Any]:
    """Return an expression for the current time plus `seconds`."""
    if seconds is None:
        return Now()
    return Now(literal(seconds, Float()) if isinstance(seconds, int | float) else cast(seconds, Float()))


@compiles(Now)
def _now(element: Now, compiler: Any, **options: Any) -> str:
    # not now(), which is the start of the transaction
    later = [compiler.process(clause, **options) for clause in element.clauses]
    return f"(clock_timestamp() + make_interval(secs => {later[0]}))" if later else "clock_timestamp()"


@compiles(Now, "sqlite")
def _now_sqlite(element: Now, compiler: Any, **options: Any) -> str:
    # the format in which SQLAlchemy writes times, so that both compare as strings
    later = [f", {compiler.process(clause, **options)} || ' seconds'" for clause in element.clauses]
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now'{''.join(later)})"


@compiles(Now, "mysql")
@compiles(Now, "mariadb")
def _now_mysql(element: Now, compiler: Any, **options: Any) -> str:
    later = [compiler.process(clause, **options) for clause in element.clauses]
    return f"(UTC_TIMESTAMP(6) + INTERVAL ({later[0]} * 1000000) MICROSECOND)" if later else "UTC_TIMESTAMP(6)"


@compiles(Seconds)
def _seconds(element: Seconds, compiler: Any, **options: Any) -> str:
    start, end = (compiler.process(clause, **options) for clause in element.clauses)
    return _not_negative(f"EXTRACT(EPOCH FROM {end} - {start})")


@compiles(Seconds, "sqlite")
def _seconds_sqlite(element: Seconds, compiler: Any, **options: Any) -> str:
    start, end = (compiler.process(clause, **options) for clause in element.clauses)
    return _not_negative(f"round((julianday({end}) - julianday({start})) * 86400.0, 3)")


@compiles(Seconds, "mysql")
@compiles(Seconds, "mariadb")
def _seconds_mysql(element: Seconds, compiler: Any, **options: Any) -> str:
    start, end = (compiler.process(clause, **options) for clause in element.clauses)
    return _not_negative(f"(TIMESTAMPDIFF(MICROSECOND, {start}, {end}) / 1000000)")


def _not_negative(seconds: str) -> str:
    # Not GREATEST, which ignores NULL on PostgreSQL.
    return f"(CASE WHEN {seconds} < 0 THEN 0 ELSE {seconds} END)"
