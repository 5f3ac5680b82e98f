"""Timeperiods: short names of runs."""

from datetime import datetime, timedelta

import pytest

from elastic.dag.errors import ScheduleError
from elastic.dag.timetable.interval import DataInterval, instant_of
from elastic.dag.timetable.schedule import schedule_of
from elastic.dag.timetable.timeperiod import interval_of_timeperiod, logical_date_of, timeperiod_of

BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("schedule", "moment", "name"),
    [
        ("@yearly", "2016-01-01", "2016"),
        ("@monthly", "2016-02-01", "201602"),
        ("@weekly", "2016-02-21", "20160221"),
        ("@daily", "2016-02-22", "20160222"),
        (timedelta(days=1), "2016-02-22", "20160222"),
        ("@hourly", "2016-02-22T14:00", "2016022214"),
        ("30 6 * * *", "2016-02-22T06:30", "20160222"),
        ("*/5 * * * *", "2016-02-22T14:05", "201602221405"),
        (timedelta(seconds=10), "2016-02-22T14:05:10", "20160222140510"),
        ("@daily", "2016-02-22T18:00", "2016022218"),
        ("@daily", "2016-02-22T18:30:01", "20160222183001"),
        (None, "2016-02-22", "20160222"),
        (None, "2016-02-22T14:05:00.000007", "20160222140500000007"),
        ("@once", "2016-02-22T14:00", "2016022214"),
    ],
)
def test_a_run_is_named_by_as_many_digits_as_it_needs(schedule: object, moment: str, name: str) -> None:
    anchor = instant_of("2016-01-01")
    assert timeperiod_of(instant_of(moment), schedule_of(schedule, "UTC", anchor)) == name  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        ("2016", "2016-01-01", "2017-01-01"),
        ("201602", "2016-02-01", "2016-03-01"),
        ("201612", "2016-12-01", "2017-01-01"),
        ("20160222", "2016-02-22", "2016-02-23"),
        ("2016022214", "2016-02-22T14:00", "2016-02-22T15:00"),
        ("201602221405", "2016-02-22T14:05", "2016-02-22T14:06"),
    ],
)
def test_a_name_stands_for_a_span_of_the_calendar(name: str, start: str, end: str) -> None:
    assert interval_of_timeperiod(name) == DataInterval(instant_of(start), instant_of(end))
    assert interval_of_timeperiod(name, BERLIN).start == instant_of(start, BERLIN)


@pytest.mark.parametrize(
    "name", ["", "16", "20161", "20161301", "20160230", "2016022225", "today", "2016-02-22", "0000"]
)
def test_a_value_that_is_no_timeperiod_is_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(ScheduleError, match=r"invalid timeperiod .*\. Use 2016, 201602, 20160222 or 2016022214"):
        interval_of_timeperiod(name)


def test_days_are_those_of_the_schedules_clock() -> None:
    daily = schedule_of("@daily", BERLIN)
    midnight = instant_of("2016-03-27", BERLIN)
    assert timeperiod_of(midnight, daily) == "20160327"
    assert interval_of_timeperiod("20160327", BERLIN).length == timedelta(hours=23)


def test_all_hours_of_the_day_when_clocks_go_back_have_names_of_their_own_that_lead_back() -> None:
    hourly = schedule_of("@hourly", BERLIN)
    found = list(hourly.intervals(instant_of("2016-10-30", BERLIN), instant_of("2016-10-30T23:00", BERLIN)))
    names = [timeperiod_of(one.start, hourly) for one in found]
    assert len(set(names)) == 25
    assert names[2:4] == ["2016103002", "2016103002b"]
    assert [interval_of_timeperiod(name, BERLIN) for name in names] == found


def test_a_name_leads_to_the_logical_date_of_its_run() -> None:
    schedule = schedule_of("30 6 28 2 *")
    moment = instant_of("2016-02-28T06:30")
    assert timeperiod_of(moment, schedule) == "2016"
    assert logical_date_of("2016", schedule) == moment
    assert logical_date_of("20160222", schedule_of(None)) == instant_of("2016-02-22")
    assert isinstance(logical_date_of("2016", schedule), datetime)
