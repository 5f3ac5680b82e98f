"""The mutations of source code that test the tests."""

import ast

from tests.mutants.mutation import mutations

SOURCE = '''
def f(a, b):
    """Return 1 of these."""
    if a < b and not a:  # größer
        raise ValueError("1 of them")
    g(a)
    return a + 2
'''


def test_each_change_is_valid_python_and_changes_one_place() -> None:
    found = mutations(SOURCE)
    assert [(one.before, one.after) for one in found] == [
        ("a < b and not a", "(a < b or not a)"),
        ("a < b", "(a >= b)"),
        ("not a", "(a)"),
        ("g(a)", "pass"),
        ("return a + 2", "return None"),
        ("a + 2", "(a - 2)"),
        ("2", "3"),
    ]
    for one in found:
        changed = one.apply(SOURCE)
        ast.parse(changed)
        assert changed.replace(one.after, one.before, 1) == SOURCE
