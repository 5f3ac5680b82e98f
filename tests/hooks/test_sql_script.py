"""Splitting of SQL scripts into statements."""

import pytest

from elastic.hooks.sql.statements import statements

EVERYWHERE = [
    ("select 1", ["select 1"]),
    ("select 1;", ["select 1"]),
    (" a ;\n\n b;; ; c ", ["a", "b", "c"]),
    ("select ';' ; b", ["select ';'", "b"]),
    ("select 'it''s;' ; b", ["select 'it''s;'", "b"]),
    ('select ";" ; b', ['select ";"', "b"]),
    ("select 1 -- a; b\n; c", ["select 1 -- a; b", "c"]),
    ("select 1 /* a; b\n; */ ; c", ["select 1 /* a; b\n; */", "c"]),
    ("-- nothing;\n/* ; */", []),
    ("-- leading\nselect 1;", ["-- leading\nselect 1"]),
    ("select 'not closed; b", ["select 'not closed; b"]),
    ("select 1 /* not closed; b", ["select 1 /* not closed; b"]),
    ("", []),
]


@pytest.mark.parametrize("backend", ["sqlite", "postgresql", "mysql", "duckdb", "other"])
def test_a_script_is_cut_at_semicolons_that_end_a_statement(backend: str) -> None:
    for script, expected in EVERYWHERE:
        assert statements(script, backend) == expected, script


@pytest.mark.parametrize(
    ("backend", "script", "expected"),
    [
        ("mysql", r"select 'a\';' ; b", [r"select 'a\';'", "b"]),
        ("mysql", r'select "a\";" ; b', [r'select "a\";"', "b"]),
        ("mysql", "select 1 # a; b\n; c", ["select 1 # a; b", "c"]),
        ("mysql", "select 5--1; c", ["select 5--1", "c"]),
        ("mysql", "select `;`; c", ["select `;`", "c"]),
        ("sqlite", r"select 'a\'; b", [r"select 'a\'", "b"]),
        ("postgresql", r"select 'a\'; b", [r"select 'a\'", "b"]),
        ("postgresql", r"select E'a\';'; b", [r"select E'a\';'", "b"]),
        ("postgresql", "do $$ begin; end $$; b", ["do $$ begin; end $$", "b"]),
        ("postgresql", "do $x$ a; $$ b; $x$; c", ["do $x$ a; $$ b; $x$", "c"]),
        ("postgresql", "select a$1; select $2", ["select a$1", "select $2"]),
        (
            "sqlite",
            "create trigger t after insert on w begin delete from a; delete from b; end; c",
            ["create trigger t after insert on w begin delete from a; delete from b; end", "c"],
        ),
    ],
)
def test_each_database_quotes_in_its_own_way(backend: str, script: str, expected: list[str]) -> None:
    assert statements(script, backend) == expected


def test_a_long_script_is_cut_in_no_time() -> None:
    script = "insert into words values ('" + "a''" * 200_000 + "');" * 2 + "/" * 100_000
    assert len(statements(script, "postgresql")) == 2
