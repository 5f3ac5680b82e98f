"""Fast path for plain parameter values: strings, defaults and omitted options.

Typer validates every value with pydantic, whose import takes longer than a whole short command.
"""

from typing import Any


def lighten(command: Any) -> None:
    """Make a command call typer's own processing only for values that need it."""
    parse = command.parse_args

    def parse_args(ctx: Any, args: list[str]) -> Any:
        # click creates the help option lazily, so the parameters are wrapped here.
        for parameter in command.get_params(ctx):
            if not isinstance(parameter.process_value, _Processing):
                parameter.process_value = _Processing(parameter)
        return parse(ctx, args)

    command.parse_args = parse_args


class _Processing:
    """Callable that processes the values of one parameter."""

    def __init__(self, parameter: Any) -> None:
        self._parameter = parameter
        self._original = parameter.process_value
        # Without this attribute (other versions of typer), typer processes every value.
        self._type = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
        self._is_multiple = parameter.multiple or parameter.nargs != 1

    def __call__(self, ctx: Any, value: Any) -> Any:
        if not self._is_plain(value):
            return self._original(ctx, value)
        if self._is_multiple:
            value = list(value) if value else ()
        callback = self._parameter.callback
        return value if callback is None else callback(ctx, self._parameter, value)

    def _is_plain(self, value: Any) -> bool:
        if value is None:
            return not self._parameter.required
        if self._is_multiple:
            return self._type == list[str] and isinstance(value, list | tuple) and bool(value)
        return value is self._parameter.default or (self._type is str and isinstance(value, str))
