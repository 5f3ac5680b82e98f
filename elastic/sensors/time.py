"""Sensors of times."""

from collections.abc import Iterable, Sequence
from datetime import datetime, time, timedelta
from typing import Any, ClassVar

from elastic.dag.context import Context
from elastic.dag.errors import DefinitionError
from elastic.dag.task_settings import duration_of
from elastic.dag.timetable.interval import instant_of, utc
from elastic.sensors.sensor import BaseSensor
from elastic.triggers.time import TimeTrigger

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class TimeSensor(BaseSensor):
    """Sensor that waits until a time of the day on which its data interval ended, or until an instant.

    Args:
        target_time: A `time` in the time zone of the DAG, a `datetime`, or an ISO string of one of both. Rendered as a
            template.
        settings: Settings of `BaseSensor`.
    """

    template_fields: ClassVar[Sequence[str]] = ("target_time",)

    def __init__(self, target_time: time | datetime | str, **settings: Any) -> None:
        super().__init__(**settings)
        if not isinstance(target_time, time | datetime | str):
            raise DefinitionError(f"TimeSensor {self.task_id!r}: target_time must be a time, got {target_time!r}.")
        self.target_time = target_time

    def trigger(self, context: Context) -> TimeTrigger:
        target: Any = self.target_time
        if isinstance(target, str):
            target = _time_of(target)
        if isinstance(target, time):
            day = context["data_interval_end"].astimezone(self.zone).date()
            target = datetime.combine(day, target, tzinfo=target.tzinfo or self.zone)
        return TimeTrigger(at=instant_of(target, self.timezone).isoformat())


class TimeDeltaSensor(BaseSensor):
    """Sensor that waits until some time after the end of its data interval.

    Args:
        delta: The time, a timedelta or seconds.
        settings: Settings of `BaseSensor`.
    """

    def __init__(self, delta: timedelta | float, **settings: Any) -> None:
        super().__init__(**settings)
        try:
            self.delta = duration_of(delta)
        except OverflowError:
            self._refuse("delta", "a timedelta or a number of seconds", delta)
        except (TypeError, ValueError) as error:
            raise DefinitionError(f"TimeDeltaSensor {self.task_id!r}: delta must be {error}, got {delta!r}.") from error

    def trigger(self, context: Context) -> TimeTrigger:
        return TimeTrigger(at=(utc(context["data_interval_end"]) + self.delta).isoformat())


class DayOfWeekSensor(BaseSensor):
    """Sensor that waits for a day of the week, in the time zone of the DAG.

    Args:
        week_day: Name of the day, such as `monday`, or several names.
        settings: Settings of `BaseSensor`.
    """

    def __init__(self, week_day: str | Iterable[str], **settings: Any) -> None:
        super().__init__(**settings)
        names = [week_day] if isinstance(week_day, str) else list(week_day)
        wrong = [one for one in names if str(one).lower() not in _WEEKDAYS]
        if wrong or not names:
            raise DefinitionError(
                f"DayOfWeekSensor {self.task_id!r}: week_day must be {', '.join(_WEEKDAYS)}, got {week_day!r}."
            )
        self.week_days = frozenset(_WEEKDAYS.index(one.lower()) for one in names)

    def trigger(self) -> TimeTrigger:
        now = datetime.now(self.zone)
        if now.weekday() in self.week_days:
            return TimeTrigger(at=utc(now).isoformat())
        days = min((day - now.weekday()) % 7 for day in self.week_days)
        return TimeTrigger(at=utc(datetime.combine(now.date() + timedelta(days=days), time(), self.zone)).isoformat())


def _time_of(text: str) -> time | str:
    """Return a string as a time of day if it is one such as 08:30, else unchanged."""
    try:
        # Without a colon, a year would be a time: 2016 is 20:16.
        return time.fromisoformat(text) if ":" in text else text
    except ValueError:
        return text
