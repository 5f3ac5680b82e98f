"""Sources: data that the master enumerates and cuts into chunks."""

from elastic.stages.sources.concatenation import ConcatenatedSource
from elastic.stages.sources.derived import LimitedSource, SampledSource
from elastic.stages.sources.files.csv import CsvRecordFormat
from elastic.stages.sources.files.csv_columns import CsvColumns
from elastic.stages.sources.files.format import RecordFormat
from elastic.stages.sources.files.jsonl import JsonLinesRecordFormat
from elastic.stages.sources.files.lines import TextLines
from elastic.stages.sources.files.source import DEFAULT_CHUNK_BYTES, FileSource
from elastic.stages.sources.files.whole_file import FileContents, JsonArrayFormat
from elastic.stages.sources.iterable import IterableSource, IterablesSource, Window
from elastic.stages.sources.range import RangeSource
from elastic.stages.sources.sql import SqlSource
from elastic.stages.sources.sql_partitions import PartitionedSqlSource
from elastic.stages.sources.tables.parquet import ParquetSource
from elastic.stages.sources.tables.table_source import TableSource, table_of_arrow, table_of_pandas, table_of_polars

__all__ = [
    "ConcatenatedSource",
    "FileSource",
    "RecordFormat",
    "TextLines",
    "JsonLinesRecordFormat",
    "CsvRecordFormat",
    "CsvColumns",
    "FileContents",
    "JsonArrayFormat",
    "RangeSource",
    "IterableSource",
    "IterablesSource",
    "SqlSource",
    "PartitionedSqlSource",
    "ParquetSource",
    "TableSource",
    "table_of_arrow",
    "table_of_pandas",
    "table_of_polars",
    "LimitedSource",
    "SampledSource",
    "Window",
    "DEFAULT_CHUNK_BYTES",
]
