"""Times as pages show them."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from elastic.web.views.times import full_time, short_time

NOW = dt.datetime(2026, 11, 29, 14, 2, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("moment", "zone", "shown"),
    [
        (dt.datetime(9999, 12, 31, 23, 30, tzinfo=dt.UTC), "Asia/Tokyo", "9999-12-31 23:30"),
        (dt.datetime(1, 1, 1, 0, 30, tzinfo=dt.UTC), "America/New_York", "1-01-01 00:30"),
        (dt.datetime(2026, 1, 1, 0, 30, tzinfo=dt.UTC), "Asia/Tokyo", "2026-01-01 09:30"),
    ],
)
def test_a_time_that_a_zone_moves_out_of_the_years_is_shown_in_utc(moment: dt.datetime, zone: str, shown: str) -> None:
    assert full_time(moment, ZoneInfo(zone)).lstrip("0") == f"{shown}:00"
    assert short_time(moment, ZoneInfo(zone), NOW).lstrip("0") in (shown, "1 Jan 09:30")
