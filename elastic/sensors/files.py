"""Sensors of files."""

from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any, ClassVar

from elastic.dag.context import Context
from elastic.dag.errors import SensorError
from elastic.dag.execution.call_with_context import call_with_context
from elastic.sensors.sensor import BaseSensor, Seconds
from elastic.triggers.files import FileTrigger


class FileSensor(BaseSensor):
    """Sensor that waits for a file: a local path, or a URL of any file system that fsspec supports.

        FileSensor(task_id="arrived", path="webhdfs://namenode:9870/in/{{ ds }}/_SUCCESS")

    Args:
        path: Path or URL; with `conn_id`, relative to the connection. Rendered as a template.
        conn_id: The id of a connection, for its address and its credentials.
        glob: The path is a pattern: `*` and `?` match within a folder, `**` any number of folders. One file is enough.
        min_size: Bytes that the file must have.
        stable_for: Time for which the file must not have changed, a timedelta or seconds.
        settings: Settings of `BaseSensor`.
    """

    template_fields: ClassVar[Sequence[str]] = ("path",)

    def __init__(
        self,
        path: str | PurePath,
        conn_id: str | None = None,
        *,
        glob: bool = False,
        min_size: int = 0,
        stable_for: Seconds = 0.0,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.path = self._text("path", str(path) if isinstance(path, PurePath) else path)
        self.conn_id, self.glob = conn_id, glob
        self.min_size = self._whole("min_size", min_size)
        self.stable_for = 0.0 if stable_for == 0 else self._seconds("stable_for", stable_for)

    def trigger(self) -> FileTrigger:
        return FileTrigger(
            connection=self.conn_id,
            path=self.path,
            glob=self.glob,
            min_size=self.min_size,
            stable_for=self.stable_for,
        )


class S3DatepartSensor(BaseSensor):
    """Sensor that waits until an object is below the date of a run in a bucket: `prefix/2016/02/23/`.

    By default the date is `tomorrow_ds`: the first object of the next day shows that the day of the run is complete.

        S3DatepartSensor(task_id="arrived", bucket="events", prefix="talk", conn_id="events_store")

    Args:
        bucket: The bucket.
        prefix: First part of the keys. Rendered as a template.
        conn_id: The id of a connection of kind `s3`; without it, the credentials are those of the environment.
        context_to_datepart: Function of the context that returns the date as it is in the keys; by default
            `tomorrow_ds` with slashes.
        settings: Settings of `BaseSensor`.
    """

    template_fields: ClassVar[Sequence[str]] = ("bucket", "prefix")

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        conn_id: str | None = None,
        *,
        context_to_datepart: Callable[..., str] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.bucket, self.prefix, self.conn_id = bucket, prefix, conn_id
        self.context_to_datepart = context_to_datepart or _tomorrow

    def trigger(self, context: Context) -> FileTrigger:
        datepart = call_with_context(self.context_to_datepart, context)
        if not isinstance(datepart, str) or not datepart.strip("/"):
            raise SensorError(f"context_to_datepart of task {self.task_id!r} must return a string, got {datepart!r}.")
        key = "/".join(part for part in (self.prefix.strip("/"), datepart.strip("/")) if part)
        return FileTrigger(connection=self.conn_id, path=f"s3://{self.bucket}/{key}/", below=True)


def _tomorrow(tomorrow_ds: str) -> str:
    return tomorrow_ds.replace("-", "/")
