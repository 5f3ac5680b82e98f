"""Which scheduled runs are due: no date is missed, none comes twice, whatever the zone, the clock and the limits."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from elastic.dag.dag import DAG
from elastic.dag.serialized_dag import from_dict, to_dict
from elastic.dag.timetable.interval import instant_of, zone_of
from elastic.dag.timetable.schedule import NoSchedule, schedule_of
from elastic.operators import EmptyOperator, PythonOperator
from elastic.scheduler.decisions.dag_spec import DagSpec
from elastic.scheduler.decisions.due import DueRuns, Timetable, due, moved

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo")
SCHEDULES: tuple[Any, ...] = (
    "@hourly", "@daily", "@weekly", "@monthly", "30 2 * * *", "0 2 * * 1-5", "*/20 1-3 * * *", "0 0 29 2 *",
    dt.timedelta(hours=7), dt.timedelta(days=1), dt.timedelta(days=3), dt.timedelta(minutes=90),
)  # fmt: skip

#: Any second of seven years.
STARTS = st.integers(1_577_836_800, 1_798_761_600).map(lambda seconds: dt.datetime.fromtimestamp(seconds, dt.UTC))


def at(text: str) -> dt.datetime:
    return instant_of(text)


def timetable_of(schedule: Any, zone: str = "UTC", **changes: Any) -> Timetable:
    start = changes.pop("start_date", at("2026-03-27"))
    return Timetable(schedule=schedule_of(schedule, zone, start), start_date=start, **changes)


def planned(timetable: Timetable, times: list[dt.datetime], limit: int) -> tuple[list[dt.datetime], DueRuns]:
    """Return the logical dates that turns at some times plan, and the position after them."""
    position = moved(timetable, None, None, times[0])
    found = []
    for now in times:
        while True:
            turn = due(timetable, position.next_logical_date, now, limit=limit)
            assert all(one.end <= now for one in turn.intervals)
            found += [one.start for one in turn.intervals]
            position = turn
            if len(turn.intervals) < limit:
                break
    return found, position


@settings(max_examples=25)
@given(
    schedule=st.sampled_from(SCHEDULES),
    zone=st.sampled_from(ZONES),
    start=STARTS,
    steps=st.lists(st.integers(1, 60 * 60 * 24 * 5), min_size=1, max_size=8),
    limit=st.integers(1, 30),
)
# Both odd days of a year, by the hour and by the day.
@example(schedule="@hourly", zone="Europe/Berlin", start=at("2026-03-28T20:00"), steps=[86_400] * 2, limit=3)
@example(schedule="30 2 * * *", zone="Europe/Berlin", start=at("2026-10-23T20:00"), steps=[86_400] * 4, limit=3)
@example(schedule=dt.timedelta(days=1), zone="America/New_York", start=at("2026-10-30"), steps=[86_400] * 4, limit=1)
def test_every_date_is_planned_once_and_in_order_at_any_pace(
    schedule: Any, zone: str, start: dt.datetime, steps: list[int], limit: int
) -> None:
    timetable = timetable_of(schedule, zone, start_date=start)
    times, now = [], start
    for step in steps:
        now += dt.timedelta(seconds=step)
        times.append(now)
    found, position = planned(timetable, times, limit)
    every = [one.start for one in timetable.schedule.intervals(start, now) if one.end <= now]
    assert found == every
    assert position.next_logical_date is not None
    assert position.next_run_at is not None
    assert position.next_run_at > now


@settings(max_examples=25)
@given(
    schedule=st.sampled_from(SCHEDULES),
    zone=st.sampled_from(ZONES),
    start=STARTS,
    gaps=st.lists(st.integers(0, 60 * 60 * 24 * 40), min_size=1, max_size=5),
)
@example(schedule="@hourly", zone="Europe/Berlin", start=at("2026-10-24T20:00"), gaps=[86_400])
def test_without_catchup_only_the_latest_passed_date_is_planned_after_a_pause(
    schedule: Any, zone: str, start: dt.datetime, gaps: list[int]
) -> None:
    timetable = timetable_of(schedule, zone, start_date=start, catchup=False)
    date, now, before = moved(timetable, None, None, start).next_logical_date, start, None
    for gap in gaps:
        now += dt.timedelta(seconds=gap)
        turn = due(timetable, date, now)
        passed = [one.start for one in timetable.schedule.intervals(start, now) if one.end <= now]
        fresh = [one for one in passed if before is None or one > before]
        assert [one.start for one in turn.intervals] == fresh[-1:]
        assert turn.left_out == max(0, len(fresh) - 1)
        date, before = turn.next_logical_date, fresh[-1] if fresh else before


@pytest.mark.parametrize("zone", ZONES[1:4])
def test_two_years_of_days_miss_no_date_of_a_zone(zone: str) -> None:
    start, end = dt.datetime(2024, 1, 1, tzinfo=zone_of(zone)), dt.datetime(2026, 1, 1, tzinfo=zone_of(zone))
    for schedule in ("@daily", "30 2 * * *"):
        timetable = timetable_of(schedule, zone, start_date=start.astimezone(dt.UTC))
        found, _ = planned(timetable, [end.astimezone(dt.UTC)], 400)
        dates = [one.astimezone(zone_of(zone)).date() for one in found]
        # A day on which 02:30 does not exist has its slot later on the same day, or none of its own.
        assert dates == sorted(set(dates))
        assert len(dates) in (730, 731)


def test_a_limit_leaves_the_rest_for_the_next_turn() -> None:
    timetable = timetable_of("@hourly")
    turn = due(timetable, at("2026-03-27"), at("2026-03-27T05:30"), limit=2)
    assert [one.start for one in turn.intervals] == [at("2026-03-27"), at("2026-03-27T01:00")]
    assert (turn.next_logical_date, turn.next_run_at) == (at("2026-03-27T02:00"), at("2026-03-27T03:00"))


def test_a_dag_runs_up_to_its_end_date_and_not_beyond() -> None:
    timetable = timetable_of("@daily", end_date=at("2026-03-28"))
    turn = due(timetable, at("2026-03-27"), at("2027-01-01"))
    assert [one.start for one in turn.intervals] == [at("2026-03-27"), at("2026-03-28")]
    assert (turn.next_logical_date, turn.next_run_at) == (None, None)
    latest = due(timetable_of("@daily", end_date=at("2026-03-28"), catchup=False), at("2026-03-27"), at("2027-01-01"))
    assert [one.start for one in latest.intervals] == [at("2026-03-28")]


def test_a_dag_without_a_schedule_is_never_due_and_one_of_once_is_due_once() -> None:
    now = at("2026-04-01")
    none = Timetable(schedule=NoSchedule(), start_date=at("2026-03-27"))
    assert moved(none, None, None, now) == DueRuns(next_logical_date=None, next_run_at=None)
    once = timetable_of("@once")
    position = moved(once, None, None, now)
    turn = due(once, position.next_logical_date, now)
    assert [one.start for one in turn.intervals] == [at("2026-03-27")]
    assert due(once, turn.next_logical_date, now).intervals == ()


def test_a_dag_without_a_start_date_begins_when_it_is_first_seen() -> None:
    timetable = Timetable(schedule=schedule_of("@daily"))
    position = moved(timetable, None, None, at("2026-03-27T10:00"))
    assert position.next_logical_date == at("2026-03-28")
    again = moved(timetable, position.next_logical_date, None, at("2026-03-30T10:00"))
    assert again.next_logical_date == at("2026-03-28")


def test_an_interval_without_a_start_date_keeps_its_dates_over_a_pause() -> None:
    hourly = Timetable(schedule=schedule_of(dt.timedelta(hours=1)), catchup=False)
    first = moved(hourly, None, None, at("2026-03-27T10:07")).next_logical_date
    assert first == at("2026-03-27T10:07")
    turn = due(hourly, first, at("2026-03-27T13:40"))
    assert [one.start for one in turn.intervals] == [at("2026-03-27T12:07")]
    assert turn.left_out == 2
    assert (turn.next_logical_date, turn.next_run_at) == (at("2026-03-27T13:07"), at("2026-03-27T14:07"))
    assert due(hourly, turn.next_logical_date, at("2026-03-27T14:06:59")).intervals == ()
    all_dates = due(Timetable(schedule=hourly.schedule), first, at("2026-03-27T13:40"))
    assert [one.start.hour for one in all_dates.intervals] == [10, 11, 12]
    assert {one.start.minute for one in all_dates.intervals} == {7}
    ended = Timetable(schedule=hourly.schedule, catchup=False, end_date=at("2026-03-27T11:30"))
    assert [one.start for one in due(ended, first, at("2026-03-27T13:40")).intervals] == [at("2026-03-27T11:07")]


def test_a_new_schedule_begins_after_the_last_date_that_was_planned() -> None:
    hourly = timetable_of("@hourly")
    assert moved(hourly, at("2026-03-29"), at("2026-03-28"), at("2026-04-01")).next_logical_date == at(
        "2026-03-28T01:00"
    )
    later = timetable_of("@daily", start_date=at("2026-06-01"))
    assert moved(later, at("2026-03-29"), at("2026-03-28"), at("2026-04-01")).next_logical_date == at("2026-06-01")
    ended = timetable_of("@daily", end_date=at("2026-03-28"))
    assert moved(ended, at("2026-03-29"), at("2026-03-28"), at("2026-04-01")).next_logical_date is None


def _dag() -> DAG:
    def call() -> None:
        """Do nothing."""

    dag = DAG(
        "wide", start_date="2026-03-27", concurrency=3, timezone="Europe/Berlin", on_failure_callback=lambda: None
    )
    first = PythonOperator(task_id="first", python_callable=lambda: [1], dag=dag, retries=2, retry_delay=7)
    each = PythonOperator.partial(task_id="each", python_callable=call, dag=dag).expand(op_args=first.output)
    grid = PythonOperator.partial(task_id="grid", python_callable=call, dag=dag).expand(
        op_args=[[], []], op_kwargs=[{}, {}, {}]
    )
    last = EmptyOperator(
        task_id="last", dag=dag, trigger_rule="all_done", depends_on_past=True, execution_timeout=9, pool="wide",
        on_retry_callback=call, on_success_callback=call, resources={"cpus": 2}, end_date="2027-01-01",
    )  # fmt: skip
    each >> last
    grid >> last
    return dag


def test_the_scheduler_sees_a_stored_dag_exactly_as_the_loaded_one() -> None:
    dag = _dag()
    assert DagSpec.of_stored(from_dict(to_dict(dag))) == DagSpec.of(dag)
