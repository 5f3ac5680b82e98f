"""Tables and rows with unusual values."""

from typing import Any

from elastic.hooks import SqlHook

WORDS = "create table words (id integer primary key, word varchar(200))"
WIDE = "create table wide (id integer, name varchar(100), day date, amount decimal(12, 2), moment timestamp)"

#: Strings that would do harm if they were pasted into a statement, and strings with quotes.
DATA = [
    'Bobby"; DROP TABLE students',
    "Robert'); drop table words; --",
    "' or '1'='1",
    "`; drop table words; #",
    "100 % of :it, \\' or \\",
    "%s %(name)s ? {x} $1",
    "",
    "línea\nnueva\r\n\ttabulador",
    ' "quoted", with, commas ',
    "\U0001f409 drágon",
    "\\N",
    "null",
]
ROWS = [*enumerate(DATA, 1), (len(DATA) + 1, None)]


def all_words(hook: SqlHook, name: str = "words") -> list[tuple[Any, ...]]:
    return hook.get_records(f"select id, word from {name} order by id")


def hook_on(url: str) -> SqlHook:
    """Return a hook on a database, without the tables of other tests."""
    hook = SqlHook(url=url)
    hook.run([f"drop table if exists {table}" for table in ("words", "wide", "copied")])
    return hook


def hook_on_words(url: str) -> SqlHook:
    """Return a hook on a database with a table of all rows."""
    hook = hook_on(url)
    hook.run(WORDS)
    hook.insert_rows("words", ROWS, ["id", "word"])
    return hook
