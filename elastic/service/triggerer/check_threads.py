"""Threads that check conditions. A thread that never ends is left behind."""

import json
import queue
import threading

from elastic.config.secret_mask import masked
from elastic.core.text import error_text
from elastic.dag.errors import TaskFailedPermanently
from elastic.dag.execution.wait import Answer, CheckFailure
from elastic.service.triggerer.check_schedule import Question
from elastic.triggers.registry import trigger_of
from elastic.triggers.trigger import TriggerTools

#: Seconds after which a thread without work ends.
_IDLE_SECONDS = 10.0


class CheckThreads:
    """Threads that ask questions. A new thread starts if none is idle; the schedule limits their number.

    Args:
        tools: Access of triggers to other systems.
    """

    def __init__(self, tools: TriggerTools) -> None:
        self._tools = tools
        self._questions: queue.SimpleQueue[Question] = queue.SimpleQueue()
        self._lock = threading.Lock()
        #: threads without a question
        self._idle = 0
        #: answers in the order in which they came
        self.results: queue.SimpleQueue[tuple[Question, Answer | CheckFailure]] = queue.SimpleQueue()

    def ask(self, question: Question) -> None:
        """Ask a question; its answer goes to `results`. A trigger that does not block is checked at once."""
        try:
            trigger = trigger_of(question.kind, json.loads(question.arguments))
        except Exception as error:
            self.results.put((question, _failure(error)))
            return
        if trigger.is_instant:
            self.results.put((question, self._answer(question)))
            return
        with self._lock:
            is_busy = not self._idle
            self._idle -= 0 if is_busy else 1
        self._questions.put(question)
        if is_busy:
            threading.Thread(target=self._work, name="elastic-check", daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                question = self._questions.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                with self._lock:
                    if self._idle:
                        self._idle -= 1
                        return
                # A question is on its way to this thread.
                question = self._questions.get()
            self.results.put((question, self._answer(question)))
            with self._lock:
                self._idle += 1

    def _answer(self, question: Question) -> Answer | CheckFailure:
        try:
            return trigger_of(question.kind, json.loads(question.arguments)).answer(self._tools)
        except BaseException as error:
            # A thread that ended by SystemExit would never answer, and keep its place.
            return _failure(error)


def _failure(error: BaseException) -> CheckFailure:
    text = f"{type(error).__name__}: {error_text(error)}"
    return CheckFailure(masked(text), isinstance(error, TaskFailedPermanently))
