"""Rows as data frames of pandas and polars, which are optional packages."""

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from elastic.hooks.errors import MissingPackageError

if TYPE_CHECKING:
    import pandas
    import polars


def pandas_frame(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> "pandas.DataFrame":
    """Return a DataFrame. It has all columns even without rows.

    Raises:
        MissingPackageError: pandas is not installed.
    """
    frame = _package("pandas", "get_pandas_df").DataFrame
    filled: pandas.DataFrame = frame.from_records(rows, columns=list(columns))
    return filled


def polars_frame(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> "polars.DataFrame":
    """Return a DataFrame whose types are inferred from all rows.

    Raises:
        MissingPackageError: polars is not installed.
    """
    frame = _package("polars", "get_polars_df").DataFrame
    filled: polars.DataFrame = frame(rows, schema=list(columns), orient="row", infer_schema_length=None)
    return filled


def _package(name: str, method: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise MissingPackageError(method, name, name) from None
