"""Fusion: programs that give the same states as others, in less time."""

from dataclasses import replace

from elastic.core.program import Program
from elastic.core.transform import Words
from elastic.stages.sources.file_reader import FileReader
from elastic.stages.words import utf8_words, words


def fused(program: Program) -> Program:
    """Return a program whose encoded states are those of another one.

    Words of files that are aggregated as they are stay in UTF-8: a string takes half as much memory again as its
    bytes, and it is memory that counting many different words waits for.
    """
    aggregator = program.aggregator.of_utf8()
    reader = program.reader
    yields_text = isinstance(reader, FileReader) and reader.yields_text
    if aggregator is None or not yields_text or program.transforms != (Words(words),):
        return program
    return replace(program, transforms=(Words(utf8_words),), aggregator=aggregator)
