"""Aggregators: how the results of chunks become one result, one family a file."""

if __name__ == "aggregators":
    raise ImportError("import elastic.aggregators, not aggregators: one file must not become two modules")

from elastic.aggregators.approximate_distinct import ApproximateDistinct
from elastic.aggregators.by_type import ByType
from elastic.aggregators.choice import aggregator_of
from elastic.aggregators.collect import Collect
from elastic.aggregators.count import Count
from elastic.aggregators.distinct import Distinct
from elastic.aggregators.emit import Emit
from elastic.aggregators.extreme import Max, Min
from elastic.aggregators.frame_count import FrameCount
from elastic.aggregators.frame_group_by import FrameGroupBy
from elastic.aggregators.frame_sum import FrameSum
from elastic.aggregators.frame_top_k import FrameTopK
from elastic.aggregators.function import FunctionAggregator
from elastic.aggregators.group_by import GroupBy
from elastic.aggregators.histogram import Histogram
from elastic.aggregators.latest import Latest
from elastic.aggregators.mapping import MergeMappings
from elastic.aggregators.moment import Mean, Stdev, Variance
from elastic.aggregators.nothing import Nothing
from elastic.aggregators.quantiles import Quantiles
from elastic.aggregators.reduce import Reduce
from elastic.aggregators.size import Size
from elastic.aggregators.sum import Sum
from elastic.aggregators.sum_by_key import SumByKey
from elastic.aggregators.top_k import TopK

__all__ = [
    # how many
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
    # whichever is meant
    "aggregator_of",
]
