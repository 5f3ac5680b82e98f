"""Sources: what can be enumerated and cut into chunks."""

from elastic.stages.sources.csv_rows import CsvRows
from elastic.stages.sources.file_source import DEFAULT_CHUNK_BYTES, FileSource
from elastic.stages.sources.format import Format
from elastic.stages.sources.iterable import IterableSource, Window
from elastic.stages.sources.iterables import IterablesSource
from elastic.stages.sources.jsonl import JsonLines
from elastic.stages.sources.lines import TextLines
from elastic.stages.sources.range import RangeSource
from elastic.stages.sources.sql import SqlSource

__all__ = [
    "FileSource",
    "Format",
    "TextLines",
    "JsonLines",
    "CsvRows",
    "RangeSource",
    "IterableSource",
    "IterablesSource",
    "SqlSource",
    "Window",
    "DEFAULT_CHUNK_BYTES",
]
