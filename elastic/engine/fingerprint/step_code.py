"""Code of a step: its functions and its aggregator, each with its fingerprint."""

from dataclasses import astuple, dataclass
from functools import partial
from typing import Any

from elastic.aggregators.keyed.group_by import GroupBySum
from elastic.core.contracts.aggregator import Aggregator, AnyAggregator
from elastic.engine.fingerprint.code_fingerprint import FINGERPRINT_VERSION, fingerprint, public_name, python_version
from elastic.engine.fingerprint.object_content import is_elastic
from elastic.engine.step import Step


@dataclass(frozen=True, slots=True)
class CodePart:
    """Function or aggregator of a step, with its fingerprint."""

    #: role and name, such as `map(parse)`
    label: str
    #: fingerprint of 16 bytes, as hexadecimal digits
    digest: str


def parts_of(step: Step) -> tuple[CodePart, ...]:
    """Return the code of a step: its transforms in order, its aggregator and its other functions."""
    parts = [
        CodePart(f"{transform.verb}({_label(transform.function)})", fingerprint(transform.function))
        for transform in step.transforms
    ]
    parts.append(CodePart(f"aggregate({_kind(step.aggregator)})", fingerprint(step.aggregator)))
    # Runs keep the label `trim`, the first name of the option `project`.
    others = {"trim": step.options.project, "window": getattr(step.source, "window", None)}
    parts += [CodePart(f"{name}({_label(given)})", fingerprint(given)) for name, given in others.items() if given]
    return tuple(parts)


def code_manifest(step: Step) -> dict[str, Any]:
    """Return plain data that identifies the code of a step, for the manifest of a run."""
    return {
        "code": [astuple(part) for part in parts_of(step)],
        "python": python_version(),
        "fingerprint": FINGERPRINT_VERSION,
        "states": state_formats(step.aggregator),
    }


def state_formats(aggregator: AnyAggregator) -> dict[str, int]:
    """Return the state format of an aggregator, and of the aggregators inside it, by public name."""
    found = {public_name(type(aggregator)): aggregator.state_format}
    for inner in getattr(aggregator, "__dict__", {}).values():
        if isinstance(inner, Aggregator):
            found |= state_formats(inner)
    return found


def _kind(aggregator: AnyAggregator) -> str:
    # Users write `GroupBy`; `GroupBySum` is the form in which it runs.
    return str(aggregator) if isinstance(aggregator, GroupBySum) else public_name(type(aggregator))


def _label(function: Any) -> str:
    """Return the name of a function, without its module and line, because those may change."""
    while isinstance(function, partial):
        function = function.func
    named = function if getattr(function, "__qualname__", None) else type(function)
    return public_name(named) if is_elastic(named) else str(named.__qualname__)
