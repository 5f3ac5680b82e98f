"""Sensor of the answer of a web server."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from elastic.dag.errors import DefinitionError
from elastic.dag.xcom_arg import XComArg
from elastic.sensors.sensor import BaseSensor
from elastic.triggers.http import HttpTrigger


class HttpSensor(BaseSensor):
    """Sensor that waits until a web server answers a GET as expected.

        HttpSensor(task_id="ready", conn_id="jobs", path="status/{{ ds }}", pointer="/state", equals="done")

    At most 1 MiB of an answer is read. A redirect to a private address is followed only if the address of the
    connection is private itself.

    Args:
        path: URL, or path below the URL of the connection. Rendered as a template.
        conn_id: The id of a connection of kind `http` or `https`; its login serves its own host only.
        status: The status that is waited for.
        pointer: JSON pointer, such as `/state` or `/jobs/0/done`; what is not there means not yet.
        equals: The value that must be there; without it, any value except null and false. Rendered as a template.
        headers: Headers of the request. Rendered as templates.
        settings: Settings of `BaseSensor`.
    """

    template_fields: ClassVar[Sequence[str]] = ("path", "equals", "headers")

    def __init__(
        self,
        path: str = "",
        conn_id: str | None = None,
        *,
        status: int = 200,
        pointer: str | None = None,
        equals: Any = None,
        headers: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        is_whole = isinstance(path, XComArg) or (isinstance(path, str) and path.startswith(("http://", "https://")))
        if conn_id is None and not is_whole:
            raise DefinitionError(f"HttpSensor {self.task_id!r} needs conn_id, or a whole URL as path, got {path!r}.")
        if pointer is not None and (not isinstance(pointer, str) or not f"{pointer}/".startswith("/")):
            self._refuse("pointer", "a string that begins with '/'", pointer)
        if equals is not None and pointer is None:
            self._refuse("equals", "given together with pointer", equals)
        self.path, self.conn_id, self.status = path, conn_id, self._whole("status", status)
        self.pointer, self.equals, self.headers = pointer, equals, dict(headers or {})

    def trigger(self) -> HttpTrigger:
        return HttpTrigger(
            connection=self.conn_id,
            path=self.path,
            status=self.status,
            pointer=self.pointer,
            equals=self.equals,
            headers=self.headers,
        )
