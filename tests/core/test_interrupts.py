"""Ctrl-C around blocks that must not end in their middle: held back, never lost, never raised twice."""

import os
import signal
import threading
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from elastic.core.interrupts import concise, hold_interrupts, ignore_repeats


@pytest.fixture(autouse=True)
def _python_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press() -> None:
    """Press Ctrl-C; Python calls the handler before this function returns."""
    os.kill(os.getpid(), signal.SIGINT)


def test_a_press_in_the_block_is_raised_after_it() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), hold_interrupts():
        press()
        done.append("the rest of the block")
    assert done == ["the rest of the block"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_block_without_a_press_raises_nothing() -> None:
    with hold_interrupts():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_second_press_ends_a_block_that_hangs() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), hold_interrupts():
        press()
        press()
        done.append("not reached")
    assert done == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_block_within_another_one_holds_as_long_as_the_outer_one() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), hold_interrupts():
        with hold_interrupts():
            press()
            done.append("inner")
        done.append("outer")
    assert done == ["inner", "outer"]


def test_the_error_of_a_block_is_raised_and_a_held_press_is_part_of_it() -> None:
    with pytest.raises(ValueError, match="own"), hold_interrupts():
        press()
        raise ValueError("own")


@pytest.mark.parametrize("place", ["finally", "except"])
def test_a_clean_up_after_an_interrupt_raises_no_second_one(place: str) -> None:
    def interrupted() -> None:
        first = KeyboardInterrupt("the first one")
        if place == "except":
            try:
                raise first
            except KeyboardInterrupt:
                with hold_interrupts():
                    press()
                raise
        try:
            raise first
        finally:
            with hold_interrupts():
                press()

    with pytest.raises(KeyboardInterrupt, match="the first one") as raised:
        interrupted()
    assert raised.value.__context__ is None


def test_a_clean_up_after_an_error_raises_the_interrupt() -> None:
    def failed() -> None:
        try:
            raise ValueError("own")
        finally:
            with hold_interrupts():
                press()

    with pytest.raises(KeyboardInterrupt):
        failed()


def test_a_handler_of_the_program_stays() -> None:
    seen: list[Any] = []
    signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    with hold_interrupts():
        press()
        assert seen == [signal.SIGINT]
    ignore_repeats(60)
    press()
    assert seen == [signal.SIGINT] * 2


def test_another_thread_changes_no_handler() -> None:
    def work() -> None:
        with hold_interrupts():
            ignore_repeats(60)
            handlers.append(signal.getsignal(signal.SIGINT))

    handlers: list[Any] = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]


def test_repeats_are_ignored_for_some_time_and_then_interrupt_again() -> None:
    ignore_repeats(60)
    press()
    with pytest.raises(KeyboardInterrupt), hold_interrupts():
        press()
    ignore_repeats(0)
    with pytest.raises(KeyboardInterrupt):
        press()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_shows_the_frames_of_the_user_and_none_of_its_callers_in_elastic() -> None:
    def library() -> None:
        exec("def call(function):\n    function()", namespace)
        namespace["call"](own)

    def own() -> None:
        threading.Event().wait(press())

    namespace: dict[str, Any] = {"__name__": "elastic.engine.master"}
    with pytest.raises(KeyboardInterrupt) as raised:
        library()
    # The traceback as the caller in Elastic sees it, which has no frames of this module above.
    inner = raised.value.__traceback__
    while inner is not None and inner.tb_frame.f_code.co_name != "call":
        inner = inner.tb_next
    shown = concise(raised.value.with_traceback(inner)).__traceback__
    assert [frame.name for frame in traceback.extract_tb(shown)] == ["own", "press"]


def test_an_interrupt_within_an_import_of_elastic_shows_no_frames() -> None:
    namespace: dict[str, Any] = {"__name__": "importlib._bootstrap"}
    exec("def load(function):\n    function()", namespace)
    with pytest.raises(KeyboardInterrupt) as raised:
        namespace["load"](press)
    inner = raised.value.__traceback__
    assert inner is not None
    assert concise(raised.value.with_traceback(inner.tb_next)).__traceback__ is None
