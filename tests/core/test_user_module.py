"""Names of the modules of users' files."""

from pathlib import Path

import pytest

from elastic.core.transform import name_of
from elastic.core.user_module import load_user_module, shown_module


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("__elastic_flow_words__", "words"),
        ("__elastic_dag_daily_sales_48686a1a__", "daily_sales"),
        ("__elastic_dag_a__b_48686a1a__", "a__b"),
        ("__main__", "__main__"),
        ("prices", "prices"),
        (None, None),
    ],
)
def test_a_module_of_a_file_is_shown_by_the_name_of_the_file(name: str | None, shown: str | None) -> None:
    assert shown_module(name) == shown


def test_a_function_of_a_dag_file_is_shown_with_its_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "sales.py").write_text("\n\ndef cents(price):\n    return int(price)\n")
    module = load_user_module("__elastic_dag_sales_0123abcd__", tmp_path / "sales.py")
    assert name_of(module.cents) == "sales.cents (line 3)"
