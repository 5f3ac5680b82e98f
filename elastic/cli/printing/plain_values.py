"""Values that a command takes as they stand: texts that shall be texts, defaults, and what was left out.

Typer has pydantic look at every value, which takes longer to import than all that a short command does.
"""

from typing import Any


def lighten(command: Any) -> None:
    """Let the parameters of a command ask for typer's own processing only where a value needs it."""
    parse = command.parse_args

    def parse_args(ctx: Any, args: list[str]) -> Any:
        # The option for help is made when it is asked for.
        for parameter in command.get_params(ctx):
            if not isinstance(parameter.process_value, _Processing):
                parameter.process_value = _Processing(parameter)
        return parse(ctx, args)

    command.parse_args = parse_args


class _Processing:
    """Processes the values of a parameter."""

    def __init__(self, parameter: Any) -> None:
        self._parameter = parameter
        self._otherwise = parameter.process_value
        # A typer that tells the type in another way does all of it by itself.
        self._type = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
        self._is_several = parameter.multiple or parameter.nargs != 1

    def __call__(self, ctx: Any, value: Any) -> Any:
        if not self._stands(value):
            return self._otherwise(ctx, value)
        if self._is_several:
            value = list(value) if value else ()
        callback = self._parameter.callback
        return value if callback is None else callback(ctx, self._parameter, value)

    def _stands(self, value: Any) -> bool:
        if value is None:
            return not self._parameter.required
        if self._is_several:
            return self._type == list[str] and isinstance(value, list | tuple) and bool(value)
        return value is self._parameter.default or (self._type is str and isinstance(value, str))
