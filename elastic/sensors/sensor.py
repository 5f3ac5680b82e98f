"""Base class of sensors."""

import json
import math
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ClassVar, NoReturn

from elastic.config.secret_mask import masked
from elastic.core.text import error_text
from elastic.dag.context import Context
from elastic.dag.errors import (
    DefinitionError,
    SensorError,
    SensorTimeoutError,
    TaskDeferred,
    TaskFailedPermanently,
    TaskSkipped,
)
from elastic.dag.execution.call_with_context import call_with_context
from elastic.dag.execution.wait import (
    CHECK_TIMEOUT,
    POKE_KIND,
    Answer,
    CheckFailure,
    WaitMode,
    WaitProgress,
    WaitRequest,
    WaitServices,
    WaitSettings,
    WaitStep,
    after_check,
    counted_checks,
    is_worth_a_line,
)
from elastic.dag.operator import BaseOperator
from elastic.dag.xcom_arg import XComArg
from elastic.triggers.trigger import Trigger

#: Seconds of a wait, unless the sensor has another `timeout`.
TIMEOUT = timedelta(days=7)

#: Longest time that a setting may name.
_MAX_SECONDS = timedelta(days=36_525).total_seconds()

#: Bytes of the arguments of a trigger.
_MAX_ARGUMENTS = 64 * 1024

#: Modes, the one that costs the least last.
_MODES = (WaitMode.POKE, WaitMode.RESCHEDULE, WaitMode.DEFER)

Seconds = timedelta | float


@dataclass(frozen=True, slots=True)
class PokeReturnValue:
    """Result of a poke with a value for later tasks."""

    is_done: bool
    xcom_value: Any = None


class BaseSensor(BaseOperator):
    """Base class of sensors: tasks that check a condition again and again until it holds.

    A subclass defines `trigger`, which describes the condition as plain values that a triggerer can check, or `poke`,
    which checks it in a process of the task. The sensor fails when `timeout` has passed. A failed sensor is retried as
    any other task, and each retry has a new timeout.

    Args:
        poke_interval: Time between two checks, a timedelta or seconds.
        timeout: Time that the sensor waits at most, from its first check on; None for no limit.
        mode: How it waits. `defer`: a triggerer checks, and the sensor holds neither a slot nor a process; the default
            with a `trigger`. `reschedule`: each check is a short process that takes a slot; the default with a `poke`.
            `poke`: one process that holds its slot all the time, for intervals of less than a few seconds.
        soft_fail: End as skipped where the sensor would fail.
        exponential_backoff: Double the time between checks after each check, up to `max_wait`.
        max_wait: Longest time between two checks with back-off.
        silent_errors: Number of checks in a row that may raise an error before the sensor fails.
        settings: Settings of every task. `execution_timeout` limits one check; in the mode `poke`, the whole attempt.

    Raises:
        DefinitionError: A setting is invalid.
    """

    is_sensor = True
    ui_color: ClassVar[str] = "#e6f1f2"

    def __init__(  # noqa: PLR0913 - the settings of all sensors
        self,
        *,
        poke_interval: Seconds | None = None,
        timeout: Seconds | None = TIMEOUT,
        mode: str | None = None,
        soft_fail: bool | None = None,
        exponential_backoff: bool | None = None,
        max_wait: Seconds | None = None,
        silent_errors: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.poke_interval = self._seconds("poke_interval", self.default("poke_interval", poke_interval, 5))
        given = self.default_args.get("timeout", timeout) if timeout is TIMEOUT else timeout
        self.timeout = None if given is None else self._seconds("timeout", given)
        longest = self.default("max_wait", max_wait)
        self.max_wait = None if longest is None else self._seconds("max_wait", longest)
        self.soft_fail = self._flag("soft_fail", soft_fail)
        self.exponential_backoff = self._flag("exponential_backoff", exponential_backoff)
        self.silent_errors = self._whole("silent_errors", self.default("silent_errors", silent_errors, 0))
        if self.timeout is not None and self.poke_interval > self.timeout:
            self._refuse("poke_interval", f"at most the timeout of {self.timeout:g} s", self.poke_interval)
        self.mode = self._mode(self.default("mode", mode))

    def trigger(self, *arguments: Any, **named: Any) -> Trigger:
        """Return the condition as plain values. Called after the templates were rendered.

        Its parameters are filled by name from the context, as those of `execute`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define trigger() or poke().")

    def poke(self, *arguments: Any, **named: Any) -> Any:
        """Return whether the condition holds: True, False or a `PokeReturnValue`.

        Its parameters are filled by name from the context, as those of `execute`. An error means that there is no
        answer.
        """
        raise NotImplementedError(f"{type(self).__name__} must define trigger() or poke().")

    def execute(self, context: Context) -> Any:
        waiting = context.get("waiting")
        services = waiting if isinstance(waiting, WaitServices) else WaitServices()
        if services.wait is not None and services.wait.answer is not None:
            return services.wait.answer.value
        settings, mode = self.wait_settings(), min(self.mode, services.mode, key=_MODES.index)
        trigger = self._checked_trigger(context) if self.has_trigger else None
        progress = services.wait.progress if services.wait else WaitProgress()
        while True:
            result, error = self._check(trigger, context, services)
            found = after_check(settings, progress, result, services.seconds_left(self.timeout))
            progress = found.progress
            if found.answer is not None:
                met = f"condition met after {counted_checks(progress.checks)}"
                self.log.info("%s: %s", met, found.answer.reason or "it holds")
                return found.answer.value
            if found.check_in is None:
                self._fail(found, error)
            if is_worth_a_line(progress.checks):
                self.log.info("check %d: %s", progress.checks, progress.reason or "the condition does not hold yet")
            if mode is not WaitMode.POKE:
                raise TaskDeferred(self._request(trigger, settings, found, services, mode))
            time.sleep(found.check_in or 0.0)

    def wait_settings(self) -> WaitSettings:
        """Return the settings of the wait."""
        limit = self.execution_timeout
        return WaitSettings(
            interval=self.poke_interval,
            exponential_backoff=self.exponential_backoff,
            max_wait=self.max_wait,
            timeout=self.timeout,
            check_timeout=limit.total_seconds() if limit else CHECK_TIMEOUT,
            silent_errors=self.silent_errors,
            soft_fail=self.soft_fail,
            pushes_value=self.do_xcom_push,
            continues=bool(self.post),
        )

    @property
    def has_trigger(self) -> bool:
        """Whether the class describes its condition as a trigger."""
        return type(self).trigger is not BaseSensor.trigger

    def _check(
        self, trigger: Trigger | None, context: Context, services: WaitServices
    ) -> tuple[Answer | CheckFailure, Exception | None]:
        try:
            if trigger is not None and type(self).poke is BaseSensor.poke:
                return trigger.answer(services.tools), None
            return self._answer(call_with_context(self.poke, context)), None
        except (TaskSkipped, NotImplementedError):
            raise
        except Exception as error:
            is_permanent = isinstance(error, TaskFailedPermanently)
            return CheckFailure(masked(f"{type(error).__name__}: {error_text(error)}"), is_permanent), error

    def _answer(self, found: Any) -> Answer:
        """Return the result of a poke as an answer."""
        if isinstance(found, Answer):
            return found
        if isinstance(found, PokeReturnValue):
            return Answer(done=bool(found.is_done), value=found.xcom_value)
        if isinstance(found, bool) or type(found).__name__ in ("bool_", "bool"):
            return Answer(done=bool(found))
        raise SensorError(
            f"the poke of {self.operator_type} {self.task_id!r} must return True, False or PokeReturnValue, "
            f"got {found!r}."
        )

    def _fail(self, found: WaitStep, error: Exception | None) -> None:
        """Raise the error with which the sensor fails; with `soft_fail`, end as skipped."""
        if self.soft_fail:
            raise TaskSkipped(f"soft_fail: {found.failure}")
        if error is not None and not found.is_timeout:
            raise error
        raise SensorTimeoutError(found.failure)

    def _request(
        self, trigger: Trigger | None, settings: WaitSettings, found: WaitStep, services: WaitServices, mode: WaitMode
    ) -> WaitRequest:
        request = WaitRequest(
            settings=settings,
            progress=found.progress,
            check_in=found.check_in or 0.0,
            slice=services.wait.slice if services.wait else 0,
            mode=mode,
        )
        if trigger is None:
            return replace(request, kind=POKE_KIND, mode=WaitMode.RESCHEDULE)
        return replace(request, kind=trigger.kind, arguments=trigger.arguments, connection=trigger.connection)

    def _checked_trigger(self, context: Context) -> Trigger:
        """Return the trigger, if it can be stored."""
        trigger: Trigger = call_with_context(self.trigger, context)
        try:
            size = len(json.dumps(dict(trigger.arguments), allow_nan=False).encode())
        except (TypeError, ValueError, RecursionError) as error:
            raise SensorError(
                f"the arguments of {self.operator_type} {self.task_id!r} cannot be stored as JSON ({error})."
            ) from error
        if size > _MAX_ARGUMENTS:
            raise SensorError(
                f"the arguments of {self.operator_type} {self.task_id!r} have {size:,} bytes of at most "
                f"{_MAX_ARGUMENTS:,}; pass a file or a shorter query."
            )
        return trigger

    def _mode(self, given: Any) -> WaitMode:
        if given is None:
            return WaitMode.DEFER if self.has_trigger else WaitMode.RESCHEDULE
        if given not in list(WaitMode):
            self._refuse("mode", f"one of {', '.join(WaitMode)}", given)
        if given == WaitMode.DEFER and not self.has_trigger:
            self._refuse("mode", "'reschedule' or 'poke', because the class has no trigger", given)
        return WaitMode(given)

    def _seconds(self, name: str, value: Any) -> float:
        seconds = value.total_seconds() if isinstance(value, timedelta) else value
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not is_number or not 0 < seconds < math.inf:
            self._refuse(name, "a timedelta or a number of seconds > 0", value)
        if seconds > _MAX_SECONDS:
            self._refuse(name, "at most 100 years", value)
        return float(seconds)

    def _whole(self, name: str, value: Any) -> int:
        if type(value) is not int or value < 0:
            self._refuse(name, "a whole number >= 0", value)
        return int(value)

    def _flag(self, name: str, given: Any) -> bool:
        value = self.default(name, given, False)
        if not isinstance(value, bool):
            self._refuse(name, "True or False", value)
        return bool(value)

    def _text(self, name: str, value: Any) -> Any:
        """Return a string, or the output of a task that will be one."""
        if not isinstance(value, str | XComArg) or value == "":
            self._refuse(name, "a string that is not empty", value)
        return value

    def _refuse(self, name: str, expected: str, given: Any) -> NoReturn:
        raise DefinitionError(f"{self.operator_type} {self.task_id!r}: {name} must be {expected}, got {given!r}.")
