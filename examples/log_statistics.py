"""Compute the mean and slowest response time of each page from a log of JSON lines.

python examples/log_statistics.py [CLUSTER]
"""

import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import elastic
from elastic.aggregators import GroupBy, Max, Mean

cluster = sys.argv[1] if len(sys.argv) > 1 else "local"


def write_log(path: Path, requests: int) -> None:
    """Write a log of random requests; the seed is fixed."""
    dice = random.Random(7)
    pages = ["/", "/search", "/basket", "/pay"]
    with path.open("w", encoding="utf-8") as log:
        for _ in range(requests):
            page, status, ms = dice.choice(pages), dice.choice([200, 200, 200, 500]), dice.randint(1, 400)
            log.write(json.dumps({"page": page, "status": status, "ms": ms}) + "\n")


def is_answered(request: dict[str, Any]) -> bool:
    return int(request["status"]) < 500


def page_and_ms(request: dict[str, Any]) -> tuple[str, int]:
    return request["page"], request["ms"]


with tempfile.TemporaryDirectory() as folder:
    log = Path(folder) / "requests.jsonl"
    write_log(log, requests=20_000)
    answered = elastic.read_jsonl(log, chunk_bytes=100_000).filter(is_answered).map(page_and_ms)
    mean = answered.aggregate(GroupBy(Mean())).run(cluster=cluster)
    slowest = answered.aggregate(GroupBy(Max())).run(cluster=cluster)

for page in sorted(mean.value):
    print(f"{page:<8} {mean.value[page]:7.2f} ms on average, {slowest.value[page]} ms at worst")
print(mean)
