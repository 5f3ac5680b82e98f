"""Aggregators, which combine the results of chunks into one result."""

if __name__ == "aggregators":
    raise ImportError("import elastic.aggregators, not aggregators: one file must not become two modules")

from elastic.aggregators.basic.by_type import ByType
from elastic.aggregators.basic.collect import Collect, Distinct, Latest
from elastic.aggregators.basic.count import Count, Size
from elastic.aggregators.basic.emit import Emit, Nothing
from elastic.aggregators.basic.functions import FunctionAggregator, Reduce
from elastic.aggregators.basic.histogram import Histogram
from elastic.aggregators.basic.ranking import Max, Min, TopK
from elastic.aggregators.basic.sketches import ApproximateDistinct, Quantiles
from elastic.aggregators.basic.statistics import Mean, Stdev, Sum, Variance
from elastic.aggregators.frames.count import FrameCount
from elastic.aggregators.frames.group_by import FrameGroupBy
from elastic.aggregators.frames.sum import FrameSum
from elastic.aggregators.frames.top_k import FrameTopK
from elastic.aggregators.keyed.group_by import GroupBy
from elastic.aggregators.keyed.merge_mappings import MergeMappings
from elastic.aggregators.keyed.sum_by_key import SumByKey
from elastic.aggregators.registry import aggregator_of

__all__ = [
    # numbers of entries
    "Count",
    "Size",
    "Distinct",
    "ApproximateDistinct",
    "Histogram",
    # numbers
    "Sum",
    "SumByKey",
    "Mean",
    "Variance",
    "Stdev",
    "Min",
    "Max",
    "TopK",
    "Quantiles",
    # entries
    "Collect",
    "Latest",
    "Reduce",
    "MergeMappings",
    "GroupBy",
    # frames
    "FrameCount",
    "FrameSum",
    "FrameGroupBy",
    "FrameTopK",
    # results of chunks
    "ByType",
    "FunctionAggregator",
    "Emit",
    "Nothing",
    # by value or name
    "aggregator_of",
]
