"""Pruning of old runs at the end of a run, if the settings ask for it."""

import datetime as dt
import logging
import os
from contextlib import suppress
from pathlib import Path

from elastic.config.settings import read_settings
from elastic.core.errors import ElasticError
from elastic.persistence.home import Home
from elastic.persistence.run_retention import RetentionPolicy, prune

_log = logging.getLogger("elastic.runs")

#: Seconds between two prunes of a home.
_INTERVAL = 3600.0
#: File in the folder of runs whose modification time is that of the last prune.
_MARK = ".pruned"
#: Maximum age in days: that of `timedelta` would reach beyond the first year.
_MAX_DAYS = 365_000.0


def prune_by_settings(home: Home) -> None:
    """Delete old runs of a home as the section [runs] of its settings says, at most once an hour.

    It never raises: a run must not fail because an old one cannot be deleted. A home other than that of the
    environment has no settings, and stays as it is.
    """
    try:
        settings = read_settings()
        days, last = settings.get("runs.keep_days"), settings.get("runs.keep_last")
        if not days or settings.home != home.folder or not _is_due(home.folder / "runs" / _MARK):
            return
        policy = RetentionPolicy(keep=dt.timedelta(days=min(days, _MAX_DAYS)), keep_last=last)
        pruned = prune(home, policy, now=dt.datetime.now(dt.UTC))
        if pruned.deleted:
            _log.info("%s", pruned)
    except (ElasticError, OSError) as error:
        _log.warning("old runs were not deleted: %s", error)


def _is_due(mark: Path) -> bool:
    """Return whether the last prune was long ago, and record this one."""
    now = dt.datetime.now(dt.UTC).timestamp()
    with suppress(FileNotFoundError):
        if 0 <= now - mark.lstat().st_mtime < _INTERVAL:
            return False
    os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    os.utime(mark, (now, now), follow_symlinks=False)
    return True
