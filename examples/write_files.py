"""Write records to files: split lines of a log by level, exactly once, and read the result back.

python examples/write_files.py [CLUSTER]

CLUSTER is inline, local (the default), auto or host:port. Needs the extra `arrow`.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import elastic

cluster = sys.argv[1] if len(sys.argv) > 1 else "local"

LEVELS = ("info", "warning", "error")


def log_line(number: int) -> str:
    """Return a line of a log; one in a thousand is damaged."""
    return f"{number} {LEVELS[number % 7 % 3]} took {number % 250} ms" if number % 1000 else "###"


def parse(line: str) -> dict[str, Any]:
    """Return the fields of a line; a damaged one raises ValueError."""
    number, level, _, milliseconds, _ = line.split()
    return {"number": int(number), "level": level, "milliseconds": int(milliseconds)}


with tempfile.TemporaryDirectory() as folder:
    log, out = Path(folder, "app.log"), Path(folder, "parsed")
    log.write_text("".join(f"{log_line(number)}\n" for number in range(20_000)), encoding="utf-8")

    lines = elastic.read_text(log, chunk_bytes=50_000).map(parse)
    schema = {"number": int, "milliseconds": int}
    flow = lines.write_parquet(out, schema, partition_by="level").aggregate("size")
    result = flow.run(cluster=cluster, on_error="dead-letter")

    print(f"{result.value:,} records, {result.errors} damaged lines kept as dead letters")
    for level in LEVELS:
        files = [file for file in result.written or () if file.name.startswith(f"level={level}/")]
        print(f"{level:8} {sum(file.records for file in files):6,} records")
    print(elastic.verify(result.run_id))
