"""State, parent and start time of a process, as Linux reports them in `/proc/<process id>/stat`."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """Snapshot of a process."""

    #: One character, as `ps` prints it: R (running), S (sleeping), Z (zombie), T or t (stopped), ...
    state: str
    parent_id: int
    #: Clock ticks between the boot of the machine and the start of the process; unique among processes of one id.
    started: int

    @property
    def is_stopped(self) -> bool:
        return self.state in ("T", "t")

    @property
    def is_zombie(self) -> bool:
        return self.state == "Z"


def is_stopped(process_id: int) -> bool:
    """Return whether a process of this machine is stopped; False if it has ended or cannot be read."""
    try:
        return read_process_stat(process_id).is_stopped
    except OSError:
        return False


def read_process_stat(process_id: int) -> ProcessStat:
    """Return the present state of a process of this machine.

    Raises:
        FileNotFoundError: No process has this id, or the system has no `/proc`.
        OSError: The process ended while its state was read, or this user may not read it.
    """
    # The second field is the command in brackets and may itself contain brackets and blanks.
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return ProcessStat(fields[0], int(fields[1]), int(fields[19]))
