"""Sender of notifications: sends what the outbox has, at least once, with a process of its own beside a master."""

import datetime as dt
import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any

from elastic.config.secret_mask import masked
from elastic.config.settings import Settings, read_settings
from elastic.core.backoff import Backoff
from elastic.core.errors import ElasticError
from elastic.core.text import error_text, one_line
from elastic.dag.errors import TaskTimeoutError
from elastic.dag.execution.timeout import TimeLimit
from elastic.db.known_secrets import hide_known_secrets
from elastic.db.stores import notifications as outbox
from elastic.db.stores.notifications import Notification
from elastic.executors.worker_process import become_own_group, signals_blocked
from elastic.notifiers.errors import NotifierError, RefusedMessageError
from elastic.notifiers.registry import notifier_of
from elastic.scheduler.deployment import Deployment
from elastic.service.notification_text import message_of

#: Delays between tries, and the time after which a message is given up.
_BACKOFF = Backoff(first=5.0, longest=3600.0)
_GIVEN_UP_AFTER = dt.timedelta(days=1)

#: Seconds that a notifier has for a message. It is less than the lease of the message.
_DELIVERY_SECONDS = 60.0

#: Seconds between looks at the outbox.
_INTERVAL_SECONDS = 1.0

#: Seconds that a stopped sender may take for the message that it sends.
_GRACE_SECONDS = 15.0


@dataclass(slots=True)
class NotificationSender:
    """Sends the notifications that are due.

    A message is sent again, with the same key, if its sender was killed before it recorded the success.
    """

    deployment: Deployment
    settings: Settings
    #: receives a line for each message that was not sent
    say: Callable[[str], None]
    is_stopped: bool = False

    def send_due(self) -> Counter[str]:
        """Send all messages that are due; return the number of notifications by what became of them."""
        counts = Counter[str]()
        limit = self.settings.get("notify.max_per_hour")
        while not self.is_stopped:
            message = outbox.take_message(self.deployment.database, limit)
            if not message:
                break
            counts[self._send(message)] += len(message)
        return counts

    def _send(self, notifications: Sequence[Notification]) -> str:
        database, first = self.deployment.database, notifications[0]
        try:
            notifier = notifier_of(first.recipient, self.settings)
            message = message_of(notifications, self.deployment, self.settings)
            # The limit of each socket operation does not stop a server that sends a byte now and then.
            with TimeLimit("the delivery", _DELIVERY_SECONDS):
                note = notifier.send(message)
        except Exception as error:
            return self._record_error(notifications, error)
        outbox.record_sent(database, notifications, masked(note))
        return outbox.SENT

    def _record_error(self, notifications: Sequence[Notification], error: Exception) -> str:
        """Record why a message was not sent, and when the next try is."""
        database, first = self.deployment.database, notifications[0]
        name = "" if isinstance(error, ElasticError) else f"{type(error).__name__}: "
        why = one_line(masked(name + error_text(error)))
        is_old = dt.datetime.now(dt.UTC) - first.created_at > _GIVEN_UP_AFTER
        if isinstance(error, RefusedMessageError) or is_old:
            outbox.record_failed(database, notifications, why)
            self.say(f"notification {first.id} to {first.recipient} is given up: {why}")
            return outbox.FAILED
        seconds = _BACKOFF.delay(first.tries)
        outbox.postpone(database, notifications, seconds, why)
        if first.tries == 1 or not isinstance(error, NotifierError | TaskTimeoutError):
            self.say(f"notification {first.id} to {first.recipient} waits {seconds:g} s for its next try: {why}")
        return outbox.WAITING


@dataclass(slots=True)
class SenderProcess:
    """Sender in a process of its own, which runs only while something is due, so that an idle service has none.

    It is a process and not a thread, because a master forks, and a fork copies the locks that a thread holds.
    """

    deployment: Deployment
    say: Callable[[str], None]
    _process: BaseProcess | None = None
    _look_at: float = 0.0
    _is_finishing: bool = False

    def check(self) -> bool:
        """Start a sender if a notification is due; return whether one runs. An outbox is looked at once a second."""
        if self._process is not None:
            if self._process.is_alive():
                return True
            self._process.close()
            self._process = None
        if time.monotonic() >= self._look_at and not self._is_finishing:
            self._look_at = time.monotonic() + _INTERVAL_SECONDS
            if outbox.is_due(self.deployment.database):
                self._start()
        return self._process is not None

    def has_finished(self) -> bool:
        """Look at the outbox for the last time, and return whether no sender runs. What is due later has to wait."""
        if not self._is_finishing:
            self._look_at = 0.0
            self.check()
            self._is_finishing = True
        return not self.check()

    def stop(self) -> None:
        """Let the sender finish its message, and wait for its end."""
        if self._process is not None:
            self._process.terminate()
            self._process.join(_GRACE_SECONDS)
            self._process.kill()
            self._process.join()
            self._process.close()
            self._process = None

    def _start(self) -> None:
        context: Any = multiprocessing.get_context("fork")
        self._process = context.Process(
            target=_send_all, args=(self.deployment, self.say, os.getpid()), name="elastic-sender", daemon=True
        )
        with signals_blocked():
            self._process.start()


def _send_all(deployment: Deployment, say: Callable[[str], None], parent: int) -> None:
    """Send all that is due, then end; end after the present message if the parent asks for it."""
    become_own_group(parent)
    sender = NotificationSender(deployment, read_settings(), say)

    def stop(*_: object) -> None:
        sender.is_stopped = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        # The secrets stored since the start of the service are masked too.
        hide_known_secrets(again=True)
        sender.send_due()
    except ElasticError as error:
        say(f"notifications wait: {error_text(error)}")
