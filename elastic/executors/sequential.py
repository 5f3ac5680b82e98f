"""One command at a time."""

from elastic.executors.local import LocalExecutor


class SequentialExecutor(LocalExecutor):
    """Runs one command at a time, in a process beside this one."""

    def __init__(self, start_method: str | None = None) -> None:
        super().__init__(1, start_method)
