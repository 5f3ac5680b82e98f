"""Interceptors of Elastic, which show a step on the console, in a file or in numbers."""

from elastic.interceptors.console_progress import ConsoleProgress
from elastic.interceptors.counters import Counters
from elastic.interceptors.event_log import EventLog
from elastic.interceptors.notebook_progress import NotebookProgress

__all__ = ["ConsoleProgress", "Counters", "EventLog", "NotebookProgress"]
