"""Schedules, including days when clocks change."""

import json
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elastic.dag.dag import DAG
from elastic.dag.errors import ScheduleError
from elastic.dag.operator import BaseOperator
from elastic.dag.serialized_dag import to_dict
from elastic.dag.timetable.interval import DataInterval, LogicalDate, instant_of, zone_of
from elastic.dag.timetable.schedule import IntervalSchedule, NoSchedule, Schedule, schedule_of

BERLIN = "Europe/Berlin"
#: Clocks went forward on 27 March and back on 30 October.
SPRING, AUTUMN = "2016-03-27", "2016-10-30"


def at(text: str, timezone: str = "UTC") -> datetime:
    return instant_of(text, timezone)


def slots(schedule: Schedule, start: str, end: str, timezone: str = "UTC") -> list[str]:
    found = schedule.intervals(at(start, timezone), at(end, timezone))
    return [one.start.astimezone(zone_of(timezone)).strftime("%m-%d %H:%M%z") for one in found]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("@daily", ["02-28 00:00+0000", "02-29 00:00+0000", "03-01 00:00+0000"]),
        (timedelta(days=1), ["02-28 00:00+0000", "02-29 00:00+0000", "03-01 00:00+0000"]),
        ("0 12 * * *", ["02-28 12:00+0000", "02-29 12:00+0000"]),
        ("@monthly", ["03-01 00:00+0000"]),
        ("@weekly", ["02-28 00:00+0000"]),
        ("@yearly", []),
        (timedelta(hours=16), ["02-28 00:00+0000", "02-28 16:00+0000", "02-29 08:00+0000", "03-01 00:00+0000"]),
        ("@once", ["02-28 00:00+0000"]),
        (None, []),
    ],
)
def test_both_ends_of_a_range_are_included(value: object, expected: list[str]) -> None:
    schedule = schedule_of(value, "UTC", at("2016-02-28"))  # type: ignore[arg-type]
    assert slots(schedule, "2016-02-28", "2016-03-01") == expected


@pytest.mark.parametrize("value", ["@daily", timedelta(days=1), "0 0 * * *"])
def test_midnight_stays_midnight_and_days_have_23_or_25_hours(value: object) -> None:
    schedule = schedule_of(value, BERLIN, at("2016-01-01", BERLIN))  # type: ignore[arg-type]
    hours = {day: schedule.interval_of(at(day, BERLIN)).length / timedelta(hours=1) for day in (SPRING, AUTUMN)}
    assert hours == {SPRING: 23, AUTUMN: 25}
    assert slots(schedule, SPRING, "2016-03-28", BERLIN) == ["03-27 00:00+0100", "03-28 00:00+0200"]
    assert slots(schedule, AUTUMN, "2016-10-31", BERLIN) == ["10-30 00:00+0200", "10-31 00:00+0100"]


@pytest.mark.parametrize("value", ["@hourly", timedelta(hours=1)])
def test_every_hour_that_passes_has_one_run_also_when_clocks_change(value: object) -> None:
    schedule = schedule_of(value, BERLIN, at("2016-01-01", BERLIN))  # type: ignore[arg-type]
    for day, count in ((SPRING, 23), (AUTUMN, 25)):
        start = at(day, BERLIN)
        end = at((date.fromisoformat(day) + timedelta(days=1)).isoformat(), BERLIN) - timedelta(seconds=1)
        found = list(schedule.intervals(start, end))
        assert len(found) == count
        assert {one.length for one in found} == {timedelta(hours=1)}
        assert [one.end for one in found[:-1]] == [one.start for one in found[1:]]


def test_a_slot_that_spring_leaves_out_comes_after_the_gap_and_one_that_autumn_repeats_comes_once() -> None:
    schedule = schedule_of("30 2 * * *", BERLIN)
    assert slots(schedule, "2016-03-26", "2016-03-28T23:00", BERLIN) == [
        "03-26 02:30+0100", "03-27 03:00+0200", "03-28 02:30+0200",
    ]  # fmt: skip
    assert slots(schedule, "2016-10-29", "2016-10-31T23:00", BERLIN) == [
        "10-29 02:30+0200", "10-30 02:30+0200", "10-31 02:30+0100",
    ]  # fmt: skip


def test_days_do_not_drift_after_a_start_in_the_hour_that_spring_leaves_out() -> None:
    schedule = IntervalSchedule(timedelta(days=1), BERLIN, at("2016-03-20T02:30", BERLIN))
    assert slots(schedule, "2016-03-26", "2016-03-29", BERLIN) == [
        "03-26 02:30+0100", "03-27 03:30+0200", "03-28 02:30+0200",
    ]  # fmt: skip


def test_the_two_equal_hours_of_autumn_are_two_instants() -> None:
    first = datetime(2016, 10, 30, 2, tzinfo=zone_of(BERLIN))
    second = first.replace(fold=1)
    assert first == second, "so Python says, of one time zone"
    assert DataInterval(first, second).length == timedelta(hours=1)


@given(
    st.sampled_from(
        ["@hourly", "@daily", "@weekly", "@monthly", "*/7 * * * *", "30 2 * * *", "0 6 * * 1-5", "0 0 29 2 *"]
    )
    | st.timedeltas(min_value=timedelta(minutes=1), max_value=timedelta(days=40)),
    st.datetimes(min_value=datetime(2015, 1, 1), max_value=datetime(2017, 1, 1), timezones=st.just(UTC)),
    st.sampled_from(["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
)
def test_next_and_previous_lead_from_slot_to_slot(value: object, moment: datetime, timezone: str) -> None:
    schedule = schedule_of(value, timezone, datetime(2015, 6, 1, tzinfo=UTC))  # type: ignore[arg-type]
    slot = schedule.first(moment)
    assert slot is not None
    assert slot >= moment
    after = schedule.next(slot)
    assert after is not None
    assert after > slot
    assert schedule.is_slot(after)
    assert schedule.previous(after) == slot
    assert schedule.first(slot + timedelta(microseconds=1)) == after
    before = schedule.previous(slot)
    assert before is not None
    assert schedule.next(before) == slot
    assert schedule.interval_of(slot) == DataInterval(slot, after)


def test_instants_may_be_asked_about_on_any_clock() -> None:
    hourly = schedule_of("@hourly", BERLIN)
    twice = [datetime(2016, 10, 30, 2, tzinfo=zone_of(BERLIN), fold=fold) for fold in (0, 1)]
    assert [hourly.is_slot(one) for one in twice] == [True, True]
    first, second = (hourly.interval_of(one) for one in twice)
    assert (first.length, first.end) == (timedelta(hours=1), second.start)


def test_the_next_interval_follows_the_last_run_and_ends_with_the_dag() -> None:
    schedule = schedule_of("@daily")
    start, end = at("2016-02-22"), at("2016-02-23")
    first = schedule.next_interval(None, start=start, end=end)
    assert first == DataInterval(start, end)
    second = schedule.next_interval(first.start, start=start, end=end)
    assert second == DataInterval(end, at("2016-02-24"))
    assert schedule.next_interval(second.start, start=start, end=end) is None
    assert schedule.next_interval(at("2016-01-01"), start=start, end=end) == first
    assert schedule.next_interval(None, start=None) is None
    assert schedule.next_interval(at("2016-01-01"), start=None) == DataInterval(at("2016-01-02"), at("2016-01-03"))


def test_once_is_once_and_none_is_never() -> None:
    once = schedule_of("@once", "UTC", at("2016-02-22"))
    found = once.next_interval(None, start=at("2016-02-22"))
    assert found == DataInterval(at("2016-02-22"), at("2016-02-22"))
    assert once.next_interval(found.start, start=at("2016-02-22")) is None
    assert NoSchedule().next_interval(None, start=at("2016-02-22")) is None
    assert NoSchedule().interval_of(at("2016-02-22")).length == timedelta(0)


def test_a_run_at_another_moment_has_the_interval_to_the_next_slot() -> None:
    daily = schedule_of("@daily")
    assert daily.interval_of(at("2016-02-22T18:00")).end == at("2016-02-23")
    assert not daily.is_slot(at("2016-02-22T18:00"))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("61 * * * *", "invalid cron expression"),
        ("* * *", "invalid cron expression"),
        ("", "invalid cron expression"),
        ("@fortnightly", "there is no preset '@fortnightly'. Use one of @once, @hourly"),
        ("0 0 30 2 *", "cron expression"),
        (timedelta(0), "must be longer than zero, got 0:00:00"),
        (timedelta(days=-1), "must be longer than zero, got"),
        (7, "invalid schedule 7. Use a cron expression, a timedelta"),
    ],
)
def test_a_value_that_is_no_schedule_is_refused_in_one_sentence(value: object, said: str) -> None:
    with pytest.raises(ScheduleError, match=said):
        schedule_of(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["Europe/Atlantis", "", "../etc/passwd", "/etc/localtime"])
def test_a_value_that_is_no_time_zone_is_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(ScheduleError, match="there is no time zone"):
        schedule_of("@daily", name)


@pytest.mark.parametrize("value", ["yesterday", "2016-13-01", 20160222, None])
def test_a_value_that_is_no_date_is_refused_in_one_sentence(value: object) -> None:
    with pytest.raises(ScheduleError, match="invalid start_date"):
        instant_of(value, what="start_date")  # type: ignore[arg-type]


def test_dates_are_read_on_the_clock_they_are_given() -> None:
    midnight = datetime(2016, 2, 21, 23, tzinfo=UTC)
    for value in ("2016-02-22", date(2016, 2, 22), datetime(2016, 2, 22), "2016-02-22T00:00:00", "2016-02-21T23:00Z"):
        assert instant_of(value, BERLIN) == midnight


def test_an_interval_is_aware_and_runs_forward() -> None:
    day = DataInterval(at("2016-02-22"), at("2016-02-23"))
    assert at("2016-02-22T12:00") in day
    assert at("2016-02-23") not in day
    with pytest.raises(ScheduleError, match="must not be before start"):
        DataInterval(at("2016-02-23"), at("2016-02-22"))
    with pytest.raises(ScheduleError, match="end 2016-02-23 00:00:00 must have a time zone"):
        DataInterval(at("2016-02-22"), datetime(2016, 2, 23))


def test_a_logical_date_prints_as_flux_printed_it() -> None:
    moment = at("2014-09-01")
    assert str(LogicalDate.of(moment)) == "2014-09-01 00:00:00"
    assert str(LogicalDate.of(moment, zone_of(BERLIN))) == "2014-09-01 02:00:00+02:00"
    later = LogicalDate.of(moment) + timedelta(days=1)
    assert f"{later}" == "2014-09-02 00:00:00"
    assert later.isoformat() == "2014-09-02T00:00:00+00:00"
    assert LogicalDate.of(moment) == moment


class Length(timedelta):
    """A duration like pendulum's, which a plain one cannot divide."""

    def __floordiv__(self, other: object) -> Any:
        raise TypeError("unsupported operand")

    __mod__ = __floordiv__


class Instant(datetime):
    """An instant like pendulum's: its conversions and differences have classes of their own."""

    def astimezone(self, tz: tzinfo | None = None) -> "Instant":
        found = datetime.astimezone(self, tz)
        return Instant.combine(found.date(), found.timetz())

    def __sub__(self, other: Any) -> Any:
        found = datetime.__sub__(self, other)
        return Length(seconds=found.total_seconds()) if isinstance(found, timedelta) else found

    __rsub__ = __sub__


KINDS = [Instant(2016, 10, 28, 2, 30, tzinfo=ZoneInfo(BERLIN)), pandas.Timestamp("2016-10-28 02:30", tz=BERLIN)]


@pytest.mark.parametrize("start", KINDS)
@pytest.mark.parametrize(
    "value", ["30 2 * * *", timedelta(days=1), Length(days=1), pandas.Timedelta("1D"), "@once", None]
)
def test_instants_of_other_libraries_are_the_plain_ones(start: datetime, value: Any) -> None:
    ordinary = datetime(2016, 10, 28, 2, 30, tzinfo=ZoneInfo(BERLIN))
    dag, same = (
        DAG("d", start_date=one, end_date=one.replace(month=11, day=1), schedule=value) for one in (start, ordinary)
    )
    assert (dag.start_date, dag.end_date, dag.timezone) == (same.start_date, same.end_date, same.timezone)
    assert list(dag.schedule.intervals(start, dag.end_date)) == list(same.schedule.intervals(ordinary, same.end_date))
    found = [
        dag.start_date,
        dag.end_date,
        dag.instant(start),
        dag.schedule.first(start),
        LogicalDate.of(start).astimezone(UTC),
    ]
    found += [dag.schedule.next(start), dag.schedule.previous(start), dag.schedule.interval_of(start).start]
    assert {type(one) for one in found if one is not None} <= {datetime, LogicalDate}
    assert dag.schedule.next(start) == same.schedule.next(ordinary)
    assert dag.timeperiod(start) == same.timeperiod(ordinary)
    task = BaseOperator("t", dag=dag, retry_delay=Length(seconds=3), execution_timeout=pandas.Timedelta("2s"))
    assert (type(task.retry_delay), type(task.execution_timeout)) == (timedelta, timedelta)
    assert type(task.attempt_info(start).logical_date) is datetime
    assert json.dumps(to_dict(dag)) == json.dumps(to_dict(dag))


class Own(Schedule):
    """A user's schedule with the dates of a test."""

    def __init__(self, says: Any) -> None:
        self.says = says

    def next(self, logical_date: datetime) -> Any:
        return self.says

    previous = first = next


def test_slots_of_a_users_schedule_are_plain_too() -> None:
    later = Instant(2016, 10, 31, 2, 30, tzinfo=ZoneInfo(BERLIN))
    interval = Own(later).interval_of(at("2016-02-22"))
    assert (type(interval.end), interval.end) == (datetime, later)
    assert Own(None).interval_of(at("2016-02-22")).length == timedelta(0)


@pytest.mark.parametrize("says", ["2016-02-22", datetime(2016, 2, 22), pandas.NaT, 7])
def test_a_value_that_is_no_slot_is_refused_in_one_sentence(says: Any) -> None:
    with pytest.raises(ScheduleError, match=r"must return a datetime with a time zone, or None|is not an instant"):
        Own(says).interval_of(at("2016-02-22"))
    with pytest.raises(ScheduleError, match=r"must return a datetime with a time zone, or None|is not an instant"):
        list(Own(says).intervals(at("2016-02-22"), at("2016-02-23")))


@pytest.mark.parametrize("text", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "5 0 0 31 FEB *"])
def test_a_date_that_never_comes_is_said_to_be_one(text: str) -> None:
    with pytest.raises(ScheduleError, match=r"matches no date\. Correct its day or its month"):
        schedule_of(text)


@pytest.mark.parametrize("text", ["0 0 32 2 *", "0 0 30 13 *", "0 0 30 x *", "0 0 30 2 9", "99 0 30 2 *", "", "0 0"])
def test_a_wrong_field_is_no_date_that_never_comes(text: str) -> None:
    with pytest.raises(ScheduleError, match="invalid cron expression"):
        schedule_of(text)


@pytest.mark.parametrize(
    ("start", "settings", "zone"),
    [
        (datetime(2016, 2, 22, tzinfo=ZoneInfo(BERLIN)), {}, BERLIN),
        (datetime(2016, 2, 22, tzinfo=ZoneInfo(BERLIN)), {"timezone": "America/New_York"}, "America/New_York"),
        (datetime(2016, 2, 22, tzinfo=UTC), {"timezone": ZoneInfo(BERLIN)}, BERLIN),
        (datetime(2016, 2, 22, tzinfo=timezone(timedelta(0))), {}, "UTC"),
        ("2016-02-22T00:00:00Z", {}, "UTC"),
        ("2016-02-22", {"timezone": BERLIN}, BERLIN),
        (date(2016, 2, 22), {}, "UTC"),
        (None, {}, "UTC"),
    ],
)
def test_the_zone_of_the_start_is_that_of_the_dag(start: Any, settings: dict[str, Any], zone: str) -> None:
    for dag in (DAG("d", start_date=start, **settings), DAG("d", default_args={"start_date": start}, **settings)):
        assert (dag.timezone, dag.schedule.timezone, dag.warnings) == (zone, zone, [])


@pytest.mark.parametrize(
    "start", ["2016-02-22T00:00:00+01:00", datetime(2016, 2, 22, tzinfo=timezone(timedelta(hours=1)))]
)
def test_an_offset_names_no_zone_and_the_dag_says_so(start: Any) -> None:
    dag = DAG("d", start_date=start)
    assert (dag.timezone, dag.start_date) == ("UTC", at("2016-02-21T23:00"))
    (warning,) = dag.warnings
    assert (
        warning
        == "the time zone of start_date (UTC+01:00) has no name, so the DAG uses UTC. Pass a named one as timezone=."
    )
    with pytest.raises(ScheduleError, match=r"has no name\. Use a name like 'UTC' or 'Europe/Berlin'"):
        DAG("d", timezone=timezone(timedelta(hours=1)))


@pytest.mark.parametrize("name", [BERLIN, "America/New_York"])
@pytest.mark.parametrize(
    "value", ["30 2 * * *", "0 2 * * *", "59 1 * * *", "*/20 * * * *", timedelta(days=1), timedelta(hours=1)]
)
def test_every_moment_of_a_night_with_a_change_of_clocks_lies_between_its_neighbours(value: Any, name: str) -> None:
    schedule = schedule_of(value, name, at("2016-01-01T01:30"))
    for day in ("2016-03-12", "2016-03-26", "2016-10-29", "2016-11-05"):
        slots = [at(day) - timedelta(days=2)]
        while slots[-1] < at(day) + timedelta(days=4):
            slots.append(schedule.next(slots[-1]) or at("9999-01-01"))
        assert slots == sorted(set(slots))
        for minutes in range(18 * 60, 33 * 60, 15):
            moment = at(day) + timedelta(minutes=minutes)
            assert schedule.next(moment) == min(slot for slot in slots if slot > moment)
            assert schedule.first(moment) == min(slot for slot in slots if slot >= moment)
            assert schedule.previous(moment) == max(slot for slot in slots[1:] if slot < moment)


def test_a_slot_in_the_repeated_hour_comes_once_wherever_in_that_hour_one_asks() -> None:
    schedule = schedule_of("30 2 * * *", BERLIN)
    slot, after = at("2016-10-30T00:30"), at("2016-10-31T01:30")
    for moment in ("2016-10-30T00:30", "2016-10-30T00:45", "2016-10-30T01:15", "2016-10-30T01:30", "2016-10-30T01:45"):
        assert schedule.next(at(moment)) == after
    for moment in ("2016-10-30T00:31", "2016-10-30T01:15", "2016-10-30T01:30", "2016-10-30T01:45"):
        assert schedule.previous(at(moment)) == slot
    assert schedule.previous(slot) == at("2016-10-29T00:30")
