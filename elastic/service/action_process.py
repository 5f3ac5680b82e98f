"""Process of an action on a run: `python -m elastic.service.action_process LOCK HOME RUN ACTION`.

The command runs user code, which may print secrets. The log masks them, as logs of attempts do.
"""

import sys
from pathlib import Path

from elastic.config.secret_mask import masked
from elastic.db.known_secrets import hide_known_secrets
from elastic.persistence.home import Home
from elastic.run_actions import run_action

if __name__ == "__main__":
    _lock, _home, _run_id, _action_id = sys.argv[1:]
    hide_known_secrets()
    run_action(int(_lock), Home(Path(_home)), _run_id, _action_id, masked)
