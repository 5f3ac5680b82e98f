"""Loader of targets: `module:attr` or `file.py:attr` names a flow, a step or a function that returns one."""

import importlib
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from elastic.core.errors import ElasticError, FlowTargetError
from elastic.core.suggest import did_you_mean
from elastic.core.user_module import load_user_module
from elastic.engine.step import Step
from elastic.flow.flow import Flow


def step_at(target: str) -> Step:
    """Return the step of a target: a flow, a step, or a function without arguments that returns one.

    The folder of a file, or the working folder for a module, is added to the import path, on the workers too.

    Raises:
        FlowTargetError: The target is invalid, missing, or something else.
    """
    where, separator, attribute = target.rpartition(":")
    if not separator or not where or not attribute:
        raise FlowTargetError(f"{target!r} is not a target; expected module:attr or file.py:attr.")
    module = _load_file(Path(where)) if where.endswith(".py") else _load_module(where)
    return _step(_attribute(module, where, attribute), target)


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise FlowTargetError(f"there is no file {str(path)!r}; write file.py:attr or module:attr.")
    sys.path.insert(0, str(path.resolve().parent))
    try:
        return load_user_module(f"__elastic_flow_{path.stem}__", path)
    except ElasticError:
        raise
    except (Exception, SystemExit) as error:
        raise FlowTargetError(f"{str(path)!r} cannot be loaded ({type(error).__name__}: {error}).") from error


def _load_module(name: str) -> ModuleType:
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ElasticError:
        raise
    except (Exception, SystemExit) as error:
        raise FlowTargetError(f"module {name!r} cannot be imported ({type(error).__name__}: {error}).") from error


def _attribute(module: ModuleType, where: str, attribute: str) -> Any:
    missing = object()
    found = getattr(module, attribute, missing)
    if found is missing:
        flows = [name for name, value in vars(module).items() if isinstance(value, Flow | Step)]
        hint = did_you_mean(attribute, flows, f"its flows are {', '.join(flows) or '(none)'}.")
        raise FlowTargetError(f"{where!r} has no {attribute!r}; {hint}")
    return found


def _step(found: Any, target: str) -> Step:
    if callable(found) and not isinstance(found, type):
        found = _called(found, target)
    if isinstance(found, Flow):
        found = found.step()
    if not isinstance(found, Step):
        raise FlowTargetError(
            f"{target!r} is {type(found).__name__}, not a Flow, a Step or a function that returns one."
        )
    return found


def _called(function: Any, target: str) -> Any:
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError) as error:
        raise FlowTargetError(f"{target!r} is a function that cannot be called without arguments ({error}).") from error
    try:
        return function()
    except ElasticError:
        raise
    except (Exception, SystemExit) as error:
        raise FlowTargetError(f"{target!r} was called and failed ({type(error).__name__}: {error}).") from error
