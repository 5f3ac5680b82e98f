"""A data flow as a task: count the words of a folder of text files, each entry exactly once.

Run it with `elastic dags trigger word_count --conf '{"files": "/path/to/*.txt"}'`.
"""

from typing import Any

import elastic
from elastic import DAG, Flow, Result
from elastic.aggregators import Count
from elastic.operators import FlowOperator


def words(conf: dict[str, Any]) -> Flow:
    """Return the flow that counts words; by default, those of this file."""
    return elastic.read_text(conf.get("files", __file__)).words().aggregate(Count())


def top(result: Result) -> list[Any]:
    """Return the ten most frequent words."""
    return sorted(result.value.items(), key=lambda item: -item[1])[:10]


with DAG("word_count", schedule=None) as word_count:
    # Without Ray, in the process of the task; leave the option out to use all CPUs.
    FlowOperator(task_id="count", flow=words, on_result=top, options={"cluster": "inline"})
