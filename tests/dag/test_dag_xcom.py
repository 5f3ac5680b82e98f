"""XComs: values that tasks pass to other tasks."""

import json
import math
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pandas
import pytest
from dag_samples import Echo, attempt, sample_dag
from hypothesis import given
from hypothesis import strategies as st

from elastic.dag.context import ContextServices
from elastic.dag.errors import XComError
from elastic.dag.execution.task_instance import TaskInstance
from elastic.dag.execution.xcom import MAX_BYTES, InMemoryXCom, decode_xcom, encode_xcom
from elastic.dag.xcom_arg import XComArg

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
        ([bytearray(b"x")], "a value of type builtins.bytearray has no JSON form"),
        ({frozenset([1.0, float("inf")])}, "JSON has no inf"),
        ({"a": {1: {2, 3}}}, "dict key 1 must be str, got int"),
        (pandas.NaT, "it cannot be encoded as JSON"),
        ({1: "x"}, "dict key 1 must be str, got int. Use str\\(1\\)"),
        (float("nan"), "JSON has no nan"),
        ("x" * MAX_BYTES, "it has 49,154 bytes of at most 49,152. Write it to a file"),
        ("\ud83d\ude00", "it cannot be encoded as JSON"),
        (loop(), "lists and dicts are nested more than 100 levels deep"),
        (object(), "a value of type builtins.object has no JSON form"),
    ],
)
def test_what_json_would_refuse_or_change_is_refused_by_name(value: Any, said: str) -> None:
    with pytest.raises(XComError, match=f"XCom 'rows' of task 'load': {said}"):
        encode_xcom(value, task_id="load", key="rows")


def test_the_largest_value_fits() -> None:
    assert len(encode_xcom("x" * (MAX_BYTES - 2), task_id="t")) == MAX_BYTES


def test_a_damaged_value_names_its_task() -> None:
    with pytest.raises(XComError, match="XCom 'return_value' of task 'load': the stored value is not valid JSON"):
        decode_xcom("{", task_id="load")


def test_what_a_task_returns_is_passed_on_unless_it_is_none_or_unwanted() -> None:
    dag, services = sample_dag(), ContextServices()
    for name, value, settings in [("a", [1], {}), ("b", None, {}), ("c", 3, {"do_xcom_push": False})]:
        attempt(Echo(value, task_id=name, dag=dag, **settings), services=services)
    reader = Echo(task_id="reader", dag=dag)
    ti = TaskInstance(reader, "2016-02-22", xcoms=services.xcoms)
    assert ti.xcom_pull(["a", "b", "c", "nobody"]) == [[1], None, None, None]
    assert ti.xcom_pull("b", default="x") == "x"


def test_values_of_other_runs_and_names_are_not_seen() -> None:
    dag, xcoms = sample_dag(), InMemoryXCom()
    one = TaskInstance(Echo(task_id="a", dag=dag), "2016-02-22", xcoms=xcoms)
    one.xcom_push("rows", 1)
    one.xcom_push("rows", 2)
    other = TaskInstance(one.task, "2016-02-23", xcoms=xcoms)
    assert one.xcom_pull("a", "rows") == 2
    assert one.xcom_pull("a") is None
    assert other.xcom_pull("a", "rows") is None


def test_copies_of_a_mapped_task_are_read_in_order_or_by_number() -> None:
    dag, xcoms = sample_dag(), InMemoryXCom()
    task = Echo(task_id="a", dag=dag)
    for index in (10, 2, 0):
        TaskInstance(task, attempt=task.attempt_info("2016-02-22", map_index=index), xcoms=xcoms).xcom_push(
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
    with pytest.raises(XComError, match="XCom 'return_value' of task 'a': a value of type builtins"):
        attempt(Echo(object(), task_id="a"))


def test_a_part_of_an_output_reaches_the_next_task() -> None:
    dag, services = sample_dag(), ContextServices()
    a = Echo({"rows": [7, 8]}, task_id="a", dag=dag)
    b = Echo([a.output["rows"][1], "{{ ds }}", ("x", a.output["rows"])], task_id="b", dag=dag)
    attempt(a, services=services)
    assert attempt(b, services=services).result == [8, "2016-02-22", ("x", [7, 8])]
    wrong = Echo(a.output["columns"], task_id="c", dag=dag)
    with pytest.raises(XComError, match="XCom 'return_value' of task 'a': the pushed value has no 'columns'"):
        attempt(wrong, services=services)


BERLIN = ZoneInfo("Europe/Berlin")
ZONES = st.sampled_from([None, UTC, BERLIN, timezone(timedelta(hours=-3, minutes=-30))])
HASHABLE = st.one_of(
    PLAIN,
    st.dates(),
    st.datetimes(timezones=ZONES, allow_imaginary=True),
    st.builds(lambda moment, fold: moment.replace(fold=fold), st.datetimes(timezones=ZONES), st.sampled_from([0, 1])),
    st.times(timezones=ZONES),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.binary(),
)
IN_SETS = st.recursive(HASHABLE, lambda inner: st.tuples(inner, inner) | st.frozensets(inner), max_leaves=6)
#: Dicts of users may have any key, including that of type tags.
NAMES = TEXT | st.sampled_from(["$xcom", "value"])
ANY = st.recursive(
    HASHABLE | st.sets(IN_SETS),
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner | st.sampled_from(["set", "dict", "bytes"])),
    max_leaves=15,
)


def exactly(value: Any) -> Any:
    """Return a value with the types of all its parts, which `==` does not compare."""
    if isinstance(value, datetime | time):
        return type(value), value.replace(tzinfo=None), value.fold, str(value.tzinfo)
    if isinstance(value, dict):
        return {name: exactly(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [type(value), *map(exactly, value)]
    if isinstance(value, set | frozenset):
        return type(value), sorted(repr(exactly(one)) for one in value)
    return type(value), str(value)


@given(ANY)
def test_values_beyond_json_come_back_with_their_types(value: Any) -> None:
    text = encode_xcom(value, task_id="t")
    assert exactly(decode_xcom(text, task_id="t")) == exactly(value)
    assert encode_xcom(decode_xcom(text, task_id="t"), task_id="t") == text


@pytest.mark.parametrize("fold", [0, 1])
def test_an_instant_keeps_the_name_of_its_zone_and_which_of_two_equal_hours_it_is(fold: int) -> None:
    moment = datetime(2016, 10, 30, 2, 30, tzinfo=BERLIN, fold=fold)
    found = decode_xcom(encode_xcom(moment, task_id="t"), task_id="t")
    assert (found.tzinfo, found.fold, found.astimezone(UTC)) == (BERLIN, fold, moment.astimezone(UTC))
    assert (found + timedelta(days=180)).utcoffset() == timedelta(hours=2)


class ByOffset(tzinfo):
    """A zone like pytz's: the offset belongs to the zone object, whatever the fold."""

    zone = "Europe/Berlin"

    def __init__(self, minutes: int) -> None:
        self._offset = timedelta(minutes=minutes)

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        return None if moment is None else self._offset

    def dst(self, moment: datetime | None) -> timedelta:
        return timedelta(0)

    def tzname(self, moment: datetime | None) -> str:
        return self.zone


@pytest.mark.parametrize("minutes", [60, 120, 53])
def test_an_instant_stays_the_same_where_its_zone_says_by_the_offset_which_hour_it_is(minutes: int) -> None:
    moment = datetime(2016, 10, 30, 2, 30, tzinfo=ByOffset(minutes))
    found = decode_xcom(encode_xcom(moment, task_id="t"), task_id="t")
    assert found.astimezone(UTC) == moment.astimezone(UTC)
    assert (found.tzinfo == BERLIN) == (minutes != 53)


@pytest.mark.parametrize("value", [pandas.Timestamp("2016-02-22T00:00:00.000000001"), pandas.Timedelta(1, "ns")])
def test_nanoseconds_are_refused_because_they_would_be_lost(value: Any) -> None:
    with pytest.raises(XComError, match=r"has nanoseconds, which would be lost\. Round it to microseconds"):
        encode_xcom(value, task_id="t")


def test_other_kinds_of_dates_become_the_plain_ones() -> None:
    values = [pandas.Timestamp("2016-02-22", tz="Europe/Berlin"), pandas.Timedelta("1D"), Decimal("-NaN")]
    found = decode_xcom(encode_xcom(values, task_id="t"), task_id="t")
    assert [type(one) for one in found] == [datetime, timedelta, Decimal]
    assert (found[0], found[1], math.isnan(found[2])) == (values[0], values[1], True)


def test_a_tag_cannot_be_forged() -> None:
    forged = {"$xcom": "date", "value": "2016-02-22"}
    assert decode_xcom(encode_xcom(forged, task_id="t"), task_id="t") == forged
    again = json.loads(encode_xcom(forged, task_id="t"))
    assert decode_xcom(encode_xcom(again, task_id="t"), task_id="t") == again


@pytest.mark.parametrize(
    "stored",
    ['{"$xcom":"os.system","value":"x"}', '{"$xcom":"date"}', '{"$xcom":"date","value":7}', '{"$xcom":[],"value":1}',
     '{"$xcom":"datetime","value":["2016-02-22",0,"No/Where"]}', '{"$xcom":"bytes","value":"?"}',
     '{"$xcom":"decimal","value":"x"}', '{"$xcom":"set","value":[[1]]}', '{"$xcom":"dict","value":[]}'],
)  # fmt: skip
def test_a_damaged_tag_names_its_task(stored: str) -> None:
    with pytest.raises(XComError, match="XCom 'return_value' of task 'load': the stored value is not valid JSON"):
        decode_xcom(stored, task_id="load")


@pytest.mark.parametrize(
    "make", ["echo {}".format, lambda output: f"echo {output}", lambda output: "echo " + str(output)]
)
def test_an_output_in_a_text_is_the_template_that_fetches_it(make: Any) -> None:
    dag, services = sample_dag(), ContextServices()
    a = Echo({"it's \"}}": [{"x": 7}]}, task_id="a", dag=dag)
    b = Echo([make(a.output), {"k": make(a.output["it's \"}}"][0]["x"])}], task_id="b", dag=dag)
    assert list(b.upstream) == ["a"]
    attempt(a, services=services)
    whole, part = attempt(b, services=services).result
    assert (whole, part["k"]) == ("echo {'it\\'s \"}}': [{'x': 7}]}", "echo 7")
    assert repr(a.output["x"]) == "output of 'a'['x']"


def test_an_output_in_a_text_links_once_and_an_arrow_may_say_so_too() -> None:
    dag = sample_dag()
    a, b = Echo("x", task_id="a", dag=dag), Echo(task_id="b", dag=dag)
    b.text = f"{a.output} and {a.output}"
    a >> b
    c = Echo.partial(task_id="c", dag=dag).expand(text=[f"{a.output}", f"{b.output}"])
    assert (list(b.upstream), sorted(c.upstream)) == (["a"], ["a", "b"])
    other = Echo(f"{a.output} {Echo(task_id='far').output}", task_id="a", dag=sample_dag("other"))
    assert list(other.upstream) == []
    with pytest.raises(TypeError, match=r"output of 'a' has no value while the DAG is defined"):
        list(a.output)


@pytest.mark.parametrize("key", ["it's", '"', "a'b\"c", "back\\", "}}"])
def test_an_output_with_any_key_in_a_text_links(key: str) -> None:
    services = ContextServices()
    with sample_dag():
        a = Echo("x", task_id="a")
        b = Echo(f"{XComArg(a, key)}", task_id="b")
    assert list(b.upstream) == ["a"]
    services.xcoms.push(a.attempt_info("2016-02-22").key, key, '"found"')
    assert attempt(b, services=services).result == "found"
