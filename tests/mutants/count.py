"""Change important modules in small ways, one at a time, and count the changes that the nearest tests notice.

python -m tests.mutants.count                      # a sample of each module
python -m tests.mutants.count ledger --amount 200  # more of one

The work tree is copied and the copy is changed. The exit code is 1 if a change went unnoticed.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.mutants.mutation import mutations

ROOT = Path(__file__).resolve().parents[2]

#: Module and the tests that are nearest to it.
TARGETS: dict[str, tuple[str, ...]] = {
    "elastic/core/ledger/ledger.py": (
        "tests/core/test_ledger.py",
        "tests/core/test_ledger_ahead.py",
        "tests/core/test_ledger_end.py",
        "tests/core/test_ledger_late.py",
        "tests/core/test_ledger_losses.py",
        "tests/core/test_ledger_faults.py",
    ),
    "elastic/core/receipts/merkle.py": ("tests/core/test_merkle.py",),
    "elastic/core/model/chunk_id_set.py": ("tests/core/test_chunk_id_set.py",),
    "elastic/dag/timetable/schedule.py": ("tests/dag/test_dag_schedule.py",),
    "elastic/dag/states/trigger_rule.py": (
        "tests/dag/test_dag_trigger_rule.py",
        "tests/scheduler/test_scheduler_decision.py",
    ),
    "elastic/scheduler/decisions/decide.py": ("tests/scheduler/test_scheduler_decision.py",),
    "elastic/db/transitions/attempts.py": ("tests/db/test_db_attempt.py",),
    "elastic/db/transitions/queueing.py": ("tests/db/test_db_attempt.py", "tests/db/test_db_run.py"),
    "persistence/disk_reserve.py": (
        "tests/persistence/test_persistence_full_disk.py",
        "tests/persistence/test_persistence_fault.py",
    ),
}
#: A mutant that runs longer has made an endless loop, and counts as noticed.
LIMIT_SECONDS = 600


def main() -> int:
    parser = argparse.ArgumentParser(description="Count the small changes of modules that their tests notice.")
    parser.add_argument("modules", nargs="*", help="parts of paths; without any, all modules")
    parser.add_argument("--amount", type=int, default=10, help="changes of each module (default 10)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chosen = [path for path in TARGETS if not options.modules or any(part in path for part in options.modules)]
    if not chosen:
        parser.error(f"no module has {' or '.join(options.modules)} in its path; there are {', '.join(TARGETS)}")
    caught = total = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder, "copy")
        shutil.copytree(ROOT, copy, symlinks=True, ignore=shutil.ignore_patterns(".*", "__pycache__", "*.egg-info"))
        for path in chosen:
            if not passes(copy, TARGETS[path]):
                _say(f"{path}: its tests fail without any change")
                return 2
            source = (copy / path).read_text(encoding="utf-8")
            found = mutations(source)
            sample = random.Random(options.seed).sample(found, min(options.amount, len(found)))
            lived = []
            for mutation in sorted(sample, key=lambda one: one.start):
                (copy / path).write_text(mutation.apply(source), encoding="utf-8")
                if passes(copy, TARGETS[path]):
                    lived.append(mutation)
            (copy / path).write_text(source, encoding="utf-8")
            _say(f"{path}: {len(sample) - len(lived)} / {len(sample)} caught, of {len(found)} possible")
            for mutation in lived:
                _say(f"    lived: {mutation}")
            caught, total = caught + len(sample) - len(lived), total + len(sample)
    _say(f"caught / total: {caught} / {total}")
    return int(caught < total)


def passes(copy: Path, tests: tuple[str, ...]) -> bool:
    """Run tests in a copy of the work tree, and return whether all pass."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not cluster", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    if done.returncode in (3, 4, 5):  # pytest itself failed, was called wrongly, or found no test
        raise RuntimeError(f"pytest ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
