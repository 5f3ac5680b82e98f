"""The code of a step: the parts that it consists of, each with its fingerprint."""

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
    """A function, or an aggregator, of a step."""

    #: what it is for and what it is called, such as `map(parse)`
    label: str
    #: 16 bytes as hex
    digest: str


def parts_of(step: Step) -> tuple[CodePart, ...]:
    """Return the fingerprints of all code of a step: its transforms in order, its aggregator, its other functions."""
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
    """Return plain data that tells the code of a step from other code, to keep with a run."""
    return {
        "code": [astuple(part) for part in parts_of(step)],
        "python": python_version(),
        "fingerprint": FINGERPRINT_VERSION,
        "states": state_formats(step.aggregator),
    }


def state_formats(aggregator: AnyAggregator) -> dict[str, int]:
    """Return the number of the form of an aggregator's states, and of those that it holds, by public name."""
    found = {public_name(type(aggregator)): aggregator.state_format}
    for held in getattr(aggregator, "__dict__", {}).values():
        if isinstance(held, Aggregator):
            found |= state_formats(held)
    return found


def _kind(aggregator: AnyAggregator) -> str:
    # The user wrote a GroupBy.
    return str(aggregator) if isinstance(aggregator, GroupBySum) else public_name(type(aggregator))


def _label(function: Any) -> str:
    """Return the name of a function without its module and line, which may change."""
    while isinstance(function, partial):
        function = function.func
    named = function if getattr(function, "__qualname__", None) else type(function)
    return public_name(named) if is_elastic(named) else str(named.__qualname__)
