"""Values that tasks pass on."""

from datetime import date
from typing import Any

import pytest
from dag_samples import Echo, attempt, sample_dag
from hypothesis import given
from hypothesis import strategies as st

from elastic.dag.context import Access
from elastic.dag.errors import XComError
from elastic.dag.instance import TaskInstance
from elastic.dag.xcom import LARGEST, MemoryXCom, decode_xcom, encode_xcom

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
JSON = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20)


@given(JSON)
def test_json_comes_back_as_it_was(value: Any) -> None:
    assert decode_xcom(encode_xcom(value, task_id="t"), task_id="t") == value


@pytest.mark.parametrize(
    "text", ["caf\udce9.csv", "\ud800", "a\0b", "\x1b[31m\x9b", "\u202e", "a\u2028b", "\U0001f600"]
)
def test_text_from_data_comes_back_as_it_was_and_fits_into_any_database(text: str) -> None:
    encoded = encode_xcom({text: [text]}, task_id="t")
    assert decode_xcom(encoded, task_id="t") == {text: [text]}
    assert "\0" not in encoded
    assert encoded.encode()


def loop() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (date(2016, 2, 22), "a value of type datetime.date is no JSON; .* \\(here: value.isoformat\\(\\)\\)"),
        ({"a": {1, 2}}, "a value of type builtins.set is no JSON; .* \\(here: sorted\\(value\\)\\)"),
        ([b"x"], "a value of type builtins.bytes is no JSON"),
        ({1: "x"}, "the key 1 of a dict is int, and JSON has text only; use str\\(1\\)"),
        (float("nan"), "nan has no form in JSON"),
        ("x" * LARGEST, "it takes 49,154 bytes and 49,152 are allowed; write it to a file"),
        ("\ud83d\ude00", "it cannot be written as JSON"),
        (loop(), "more than 100 lists and dicts lie in each other"),
        (object(), "a value of type builtins.object is no JSON"),
    ],
)
def test_what_json_would_refuse_or_change_is_refused_by_name(value: Any, said: str) -> None:
    with pytest.raises(XComError, match=f"task 'load' cannot pass on 'rows': {said}"):
        encode_xcom(value, task_id="load", key="rows")


def test_the_largest_value_fits() -> None:
    assert len(encode_xcom("x" * (LARGEST - 2), task_id="t")) == LARGEST


def test_a_damaged_value_names_its_task() -> None:
    with pytest.raises(XComError, match="task 'load' cannot pass on 'return_value': what is stored is no JSON"):
        decode_xcom("{", task_id="load")


def test_what_a_task_returns_is_passed_on_unless_it_is_none_or_unwanted() -> None:
    dag, access = sample_dag(), Access()
    for name, value, settings in [("a", [1], {}), ("b", None, {}), ("c", 3, {"do_xcom_push": False})]:
        attempt(Echo(value, task_id=name, dag=dag, **settings), access=access)
    reader = Echo(task_id="reader", dag=dag)
    ti = TaskInstance(reader, "2016-02-22", xcoms=access.xcoms)
    assert ti.xcom_pull(["a", "b", "c", "nobody"]) == [[1], None, None, None]
    assert ti.xcom_pull("b", default="x") == "x"


def test_values_of_other_runs_and_names_are_not_seen() -> None:
    dag, xcoms = sample_dag(), MemoryXCom()
    one = TaskInstance(Echo(task_id="a", dag=dag), "2016-02-22", xcoms=xcoms)
    one.xcom_push("rows", 1)
    one.xcom_push("rows", 2)
    other = TaskInstance(one.task, "2016-02-23", xcoms=xcoms)
    assert one.xcom_pull("a", "rows") == 2
    assert one.xcom_pull("a") is None
    assert other.xcom_pull("a", "rows") is None


def test_copies_of_a_mapped_task_are_read_in_order_or_by_number() -> None:
    dag, xcoms = sample_dag(), MemoryXCom()
    task = Echo(task_id="a", dag=dag)
    for index in (10, 2, 0):
        TaskInstance(task, facts=task.facts_of("2016-02-22", map_index=index), xcoms=xcoms).xcom_push(
            "return_value", index
        )
    ti = TaskInstance(task, "2016-02-22", xcoms=xcoms)
    assert ti.xcom_pull("a") == [0, 2, 10]
    assert ti.xcom_pull("a", map_indexes=2) == 2
    assert ti.xcom_pull("a", map_indexes=[10, 1]) == [10, None]


def test_an_instance_made_by_hand_says_that_it_has_no_run() -> None:
    ti = TaskInstance(Echo(task_id="a"), "2016-02-22")
    with pytest.raises(XComError, match="is not part of a run"):
        ti.xcom_push("rows", 1)
    with pytest.raises(XComError, match="is not part of a run"):
        ti.xcom_pull("a")


def test_a_value_that_cannot_be_passed_on_fails_the_attempt() -> None:
    with pytest.raises(XComError, match="task 'a' cannot pass on 'return_value': a value of type builtins"):
        attempt(Echo(object(), task_id="a"))


def test_a_part_of_an_output_reaches_the_next_task() -> None:
    dag, access = sample_dag(), Access()
    a = Echo({"rows": [7, 8]}, task_id="a", dag=dag)
    b = Echo([a.output["rows"][1], "{{ ds }}", ("x", a.output["rows"])], task_id="b", dag=dag)
    attempt(a, access=access)
    assert attempt(b, access=access).result == [8, "2016-02-22", ("x", [7, 8])]
    wrong = Echo(a.output["columns"], task_id="c", dag=dag)
    with pytest.raises(XComError, match="task 'a' cannot pass on 'return_value': what it returned has no 'columns'"):
        attempt(wrong, access=access)
