"""Registry of aggregators, for which a user may pass an instance, a class, a function or a name."""

import inspect
import operator
from collections.abc import Callable
from types import BuiltinFunctionType
from typing import Any

from elastic.core.callables import check_methods, check_plain
from elastic.core.contracts.aggregator import Aggregator, AnyAggregator
from elastic.core.errors import UsageError
from elastic.core.suggest import did_you_mean
from elastic.core.transform import name_of

#: Classes of `elastic.aggregators` by their names for `aggregator_of`.
NAMES = {
    "approximate_distinct": "ApproximateDistinct",
    "by_type": "ByType",
    "collect": "Collect",
    "count": "Count",
    "distinct": "Distinct",
    "emit": "Emit",
    "frame_count": "FrameCount",
    "frame_group_by": "FrameGroupBy",
    "frame_sum": "FrameSum",
    "frame_top_k": "FrameTopK",
    "group_by": "GroupBy",
    "histogram": "Histogram",
    "latest": "Latest",
    "max": "Max",
    "mean": "Mean",
    "merge_mappings": "MergeMappings",
    "min": "Min",
    "nothing": "Nothing",
    "quantiles": "Quantiles",
    "reduce": "Reduce",
    "size": "Size",
    "stdev": "Stdev",
    "sum": "Sum",
    "sum_by_key": "SumByKey",
    "top_k": "TopK",
    "variance": "Variance",
}

#: Built-in functions that cannot be called as `aggregate(new, previous)`, and the aggregators that replace them.
_REPLACEMENTS: dict[Any, str] = {max: "max", min: "min", sum: "sum", operator.add: "sum"}

_ACCEPTED = "an aggregator, its class, its name, a function aggregate(new, previous), or None for no result"


def aggregator_of(value: Any) -> AnyAggregator:
    """Return the aggregator for a value.

    Args:
        value: An aggregator, which may be replaced by a faster one with the same result; a class, which is called
            without arguments; the name of a built-in one, such as `"count"` or `"merge_mappings"`; a function, which is
            called as `aggregate(new, previous)`; or None to track only completion.

    Raises:
        UsageError: The value is none of these. The message lists the accepted values.
    """
    if isinstance(value, Aggregator):
        check_methods(f"aggregator {value}", value, Aggregator)
        return _simplest(value)
    if value is None:
        return _built_in("nothing")
    if isinstance(value, str):
        return _built_in(value)
    if isinstance(value, type):
        aggregator = _instance_of(value)
        check_methods(f"aggregator {aggregator}", aggregator, Aggregator)
        return aggregator
    if callable(value):
        return _of_function(value)
    raise UsageError(f"{_shown(value)} is not an aggregator; pass {_ACCEPTED}")


def _simplest(aggregator: AnyAggregator) -> AnyAggregator:
    from elastic.aggregators.keyed.group_by import GroupBy

    return aggregator.simplified() if type(aggregator) is GroupBy else aggregator


def _built_in(name: str) -> AnyAggregator:
    # Imported late: some aggregators have an inner one, which they get through this module.
    from elastic import aggregators

    key = name.strip().lower()
    if key in NAMES:
        return _instance_of(getattr(aggregators, NAMES[key]))
    hint = did_you_mean(key, NAMES, f"there are {', '.join(NAMES)}.", max_names=3)
    raise UsageError(f"there is no aggregator {name!r}; {hint}")


def _instance_of(kind: type) -> AnyAggregator:
    if not issubclass(kind, Aggregator):
        raise UsageError(f"class {kind.__name__} is not an aggregator; pass {_ACCEPTED}")
    if inspect.isabstract(kind):
        missing = ", ".join(sorted(kind.__abstractmethods__))
        raise UsageError(f"aggregator {kind.__name__} is not complete; define its methods {missing}")
    needed = [one.name for one in inspect.signature(kind).parameters.values() if _is_needed(one)]
    if needed:
        raise UsageError(f"aggregator {kind.__name__} needs arguments; pass {kind.__name__}({', '.join(needed)})")
    return kind()


def _is_needed(parameter: inspect.Parameter) -> bool:
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return parameter.default is inspect.Parameter.empty and parameter.kind not in variadic


def _of_function(function: Callable[..., Any]) -> AnyAggregator:
    from elastic.aggregators import FunctionAggregator

    if isinstance(function, BuiltinFunctionType) and function in _REPLACEMENTS:
        raise UsageError(
            f"aggregate({name_of(function)}) is called as {name_of(function)}(new, previous), and previous is None for "
            f"the first entry; write aggregate({_REPLACEMENTS[function]!r})."
        )
    check_plain("aggregate", function)
    try:
        inspect.signature(function).bind(None, None)
    except TypeError as error:
        raise UsageError(
            f"function {name_of(function)} cannot aggregate, because it does not take two arguments; "
            "write it as aggregate(new, previous)"
        ) from error
    except ValueError:
        # A function in C without a signature: only a call shows whether it fits.
        pass
    return FunctionAggregator(function)


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else f'{text[:57]}...'} ({type(value).__name__})"
