"""Results of user functions: coroutines are awaited wherever a function is called, generators are refused."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from dag_samples import Echo, attempt, rendered, sample_dag

from elastic.dag.context import Context
from elastic.dag.errors import DefinitionError, TaskTimeoutError, UserFunctionError
from elastic.dag.execution.action import Action
from elastic.dag.execution.build_context import build_context
from elastic.dag.execution.callbacks import run_callbacks
from elastic.dag.execution.execute import TaskOutcome, execute
from elastic.dag.operator import BaseOperator
from elastic.dag.timetable.schedule import NoSchedule
from elastic.operators import BranchOperator, FlowOperator, PythonOperator, ShortCircuitOperator, dag, task


async def double(number: int = 21) -> int:
    await asyncio.sleep(0)
    return 2 * number


async def nested() -> Any:
    return double()


class Doubler:
    async def __call__(self) -> int:
        return await double()

    async def method(self) -> int:
        return await double()


def numbers() -> Iterator[int]:
    yield 1


async def async_numbers() -> AsyncIterator[int]:
    yield 1


COROUTINES = [double, partial(double, 21), lambda: double(), nested, Doubler(), Doubler().method]
GENERATORS = [numbers, async_numbers, partial(numbers), partial(async_numbers)]


def result_of(
    function: Callable[..., Any], kind: type[PythonOperator] = PythonOperator, **settings: Any
) -> TaskOutcome:
    return attempt(kind(task_id="t", python_callable=function, dag=sample_dag(), **settings))


@pytest.mark.parametrize("function", COROUTINES)
def test_a_coroutine_runs_to_its_end(function: Callable[..., Any]) -> None:
    assert result_of(function).result == 42


@pytest.mark.parametrize("function", COROUTINES)
def test_a_coroutine_runs_where_a_loop_runs_already(function: Callable[..., Any]) -> None:
    async def notebook() -> Any:
        return result_of(function).result

    assert asyncio.run(notebook()) == 42


def test_a_coroutine_sees_the_context_variables_of_its_caller() -> None:
    variable: ContextVar[str] = ContextVar("variable", default="")

    async def seen() -> str:
        return variable.get()

    async def notebook() -> Any:
        return result_of(seen).result

    variable.set("here")
    assert (result_of(seen).result, asyncio.run(notebook())) == ("here", "here")


@pytest.mark.parametrize("function", GENERATORS)
def test_a_generator_function_is_refused_when_the_task_is_defined(function: Callable[..., Any]) -> None:
    said = r"task 't': .*=.*\(\) is an? (async )?generator function, so its body would never run. Return a list"
    for make in (
        lambda: PythonOperator(function, task_id="t"),
        lambda: ShortCircuitOperator(function, task_id="t"),
        lambda: FlowOperator(function, task_id="t"),
        lambda: FlowOperator("a:b", on_result=function, task_id="t"),
    ):
        with pytest.raises(DefinitionError, match=said):
            make()
    with pytest.raises(DefinitionError, match="not a generator function, whose body would never run"):
        Echo(task_id="t", on_failure_callback=function)
    with pytest.raises(DefinitionError, match=r"DAG 'sample': on_success_callback=.* so its body would never run"):
        sample_dag(on_success_callback=function)


@pytest.mark.parametrize("function", [double, numbers, async_numbers])
def test_a_function_that_defines_a_dag_is_a_plain_one(function: Callable[..., Any]) -> None:
    with pytest.raises(DefinitionError, match=r"\(\) defines a DAG and is an? .*function, so its body would never run"):
        dag(function)


@pytest.mark.parametrize("made", [numbers, async_numbers, lambda: map(str, [1]), lambda: filter(None, [1])])
def test_a_generator_that_is_returned_is_refused(made: Callable[[], Any]) -> None:
    async def later() -> Any:
        return made()

    for function in (lambda: made(), later):
        with pytest.raises(
            UserFunctionError,
            match=r"\(\) returned an? .*(generator|map|filter), so nothing has run. Return a list",
        ):
            result_of(function, do_xcom_push=False)


def test_conditions_and_branches_may_be_async() -> None:
    async def no() -> bool:
        return False

    async def left() -> str:
        return "left"

    for kind, function, skipped in ((ShortCircuitOperator, no, ("left", "right")), (BranchOperator, left, ("right",))):
        with sample_dag():
            first = kind(task_id="first", python_callable=function)
            first >> [Echo(task_id="left"), Echo(task_id="right")]
        assert attempt(first).skipped_task_ids == skipped


def test_a_decorated_function_may_be_async() -> None:
    with sample_dag() as made:
        task(double)(4)
    assert attempt(made.get_task("double")).result == 8


class Noted(Action):
    """Records awaited values."""

    async def run(self) -> None:
        await self.note("run")

    async def rollback(self) -> None:  # type: ignore[override]
        await self.note("rollback")

    async def cleanup(self) -> None:  # type: ignore[override]
        await self.note("cleanup")

    async def note(self, what: str) -> None:
        await asyncio.sleep(0)
        self.context["params"]["notes"].append(f"{self.name} {what}")


class Own(BaseOperator):
    """An operator whose methods are all async."""

    async def execute(self, params: Any) -> str:
        await self.note(params, "execute")
        return "done"

    async def rollback(self, context: Context) -> None:  # type: ignore[override]
        await self.note(context["params"], "rollback")

    async def cleanup(self, context: Context) -> None:  # type: ignore[override]
        await self.note(context["params"], "cleanup")

    async def note(self, params: Any, what: str) -> None:
        await asyncio.sleep(0)
        params["notes"].append(f"own {what}")


def test_methods_of_operators_and_actions_may_be_async() -> None:
    notes: list[str] = []
    own = Own(task_id="own", pre=Noted("pre"), post=Noted("post"), params={"notes": notes}, dag=sample_dag())
    assert attempt(own).result == "done"
    assert notes == ["pre run", "own execute", "post run", "post cleanup", "own cleanup", "pre cleanup"]
    notes.clear()

    class Failing(Noted):
        async def run(self) -> None:
            raise ValueError("no")

    own = Own(task_id="own", pre=Noted("pre"), post=Failing("post"), params={"notes": notes}, dag=sample_dag())
    with pytest.raises(ValueError, match="no"):
        attempt(own)
    assert [note for note in notes if "rollback" in note] == ["own rollback", "pre rollback"]


def test_an_action_that_is_a_generator_is_refused() -> None:
    class Lazy(Action):
        def run(self) -> Iterator[int]:
            yield 1

    with pytest.raises(UserFunctionError, match=r"Lazy\.run\(\) returned a generator, so nothing has run"):
        attempt(Echo(task_id="t", pre=Lazy("lazy"), dag=sample_dag()))


def test_callbacks_may_be_async() -> None:
    called = []

    async def by_name(ds: str) -> None:
        called.append(ds)

    async def by_position(ctx: Any) -> None:
        called.append(ctx["ds"])

    echo = Echo(task_id="t", dag=sample_dag())
    assert run_callbacks([by_name, by_position], build_context(echo, echo.attempt_info("2016-02-22")), echo.log) == 0
    assert called == ["2016-02-22", "2016-02-22"]


def test_macros_may_be_async_and_generators_of_them_are_lists() -> None:
    macros = {"double": double, "numbers": numbers, "later": async_numbers}
    made = sample_dag(user_defined_macros=macros)
    text = "{{ double(3) }} {{ macros.double(4) }} {{ numbers() }} {% for n in macros.numbers() %}{{ n }}{% endfor %}"
    assert rendered(text, dag=made) == "6 8 [1] 1"
    with pytest.raises(Exception, match="returned an async generator, so nothing has run"):
        rendered("{{ later() }}", dag=sample_dag(user_defined_macros=macros))


def test_a_schedule_may_be_async_but_no_generator() -> None:
    class Later(NoSchedule):
        async def next(self, logical_date: datetime) -> datetime:  # type: ignore[override]
            return logical_date + timedelta(hours=1)

    class Lazy(NoSchedule):
        def next(self, logical_date: datetime) -> Any:
            yield logical_date

    made = sample_dag(schedule=Later())
    assert made.schedule.interval_of(made.instant("2016-02-22")).length == timedelta(hours=1)
    with pytest.raises(UserFunctionError, match=r"Lazy\.next\(\) returned a generator"):
        Lazy().interval_of(made.instant("2016-02-22"))


class Waiting(BaseOperator):
    """Waits forever, and records its cancellation."""

    async def execute(self, params: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            params["notes"].append("cancelled")

    async def on_kill(self) -> None:  # type: ignore[override]
        self.params["notes"].append("on_kill")


def _waiting() -> tuple[Waiting, list[str]]:
    notes: list[str] = []
    return Waiting(task_id="t", execution_timeout=0.2, params={"notes": notes}, dag=sample_dag()), notes


def test_a_time_limit_cancels_a_coroutine() -> None:
    waiting, notes = _waiting()
    with pytest.raises(TaskTimeoutError, match=r"task 't' took longer than 0\.2 s"):
        attempt(waiting)
    assert notes == ["cancelled", "on_kill"]


def test_a_time_limit_cancels_a_coroutine_beside_a_loop_that_runs() -> None:
    waiting, notes = _waiting()

    async def notebook() -> None:
        attempt(waiting)

    with pytest.raises(TaskTimeoutError):
        asyncio.run(notebook())
    assert notes == ["cancelled", "on_kill"]


def test_a_time_limit_cancels_a_coroutine_in_a_thread() -> None:
    waiting, notes = _waiting()
    raised: list[BaseException] = []

    def work() -> None:
        try:
            attempt(waiting)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [type(error) for error in raised] == [TaskTimeoutError]
    assert notes == ["cancelled", "on_kill"]


def test_a_time_limit_ends_a_coroutine_that_answers_all_the_same() -> None:
    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "an answer"
        return ""

    async def inner() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(stubborn())

    for function in (stubborn, inner):
        with pytest.raises(TaskTimeoutError):
            result_of(function, execution_timeout=0.2)


def test_a_coroutine_that_cancels_itself_fails_the_attempt() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(UserFunctionError, match=r"cancelled\(\) was cancelled by its own code"):
        result_of(cancelled)


def test_what_a_coroutine_raises_is_raised() -> None:
    async def failing() -> None:
        raise ValueError("no such luck")

    with pytest.raises(ValueError, match="no such luck"):
        result_of(failing)
    operator = PythonOperator(failing, task_id="t", dag=sample_dag())

    async def notebook() -> None:
        execute(operator, build_context(operator, operator.attempt_info("2016-02-22")))

    with pytest.raises(ValueError, match="no such luck"):
        asyncio.run(notebook())
