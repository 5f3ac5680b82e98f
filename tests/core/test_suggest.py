"""Suggestions for misspelt and abbreviated names."""

import pytest

from elastic.core.suggest import closest_name, did_you_mean

NAMES = ("encoding", "errors", "chunk_bytes_of_a_file", "max_chunks_in_flight", "max_bytes_in_flight")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("encodin", "encoding"),
        ("enc", "encoding"),
        ("chunk", "chunk_bytes_of_a_file"),
        ("", ""),
        ("e", ""),
        ("en", ""),
        ("zzz", ""),
        ("ENC", ""),
        ("max_", ""),
        ("\x00" * 3, ""),
    ],
)
def test_a_name_is_near_another_that_it_resembles_or_abbreviates(name: str, meant: str) -> None:
    assert closest_name(name, NAMES) == meant
    assert did_you_mean(name, NAMES, "look it up.") == (f"did you mean {meant!r}?" if meant else "look it up.")


def test_an_abbreviation_of_several_names_is_answered_only_if_all_of_them_may_be_named() -> None:
    assert did_you_mean("max_", NAMES, "look it up.", max_names=2) == (
        "did you mean 'max_chunks_in_flight' or 'max_bytes_in_flight'?"
    )


def test_a_similar_name_goes_before_an_abbreviated_one() -> None:
    assert closest_name("map", ("mapping_of_everything", "man")) == "man"
