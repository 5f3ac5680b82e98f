"""Dead letters grouped by the class of the error and the line that raised it."""

from pathlib import Path

import pytest

from elastic.run_views.letter_groups import (
    DAMAGED,
    LARGE,
    LetterGroupCache,
    LetterGroups,
    key_of,
    letter_groups,
    letters_in_group,
    line_of,
    own_traceback,
)
from tests.run_views.stored_run_samples import HOSTILE_TEXTS, Sample, damage, letter_of, make_run, opened


def grouped(folder: Path) -> LetterGroups:
    reader, record = opened(folder)
    try:
        counts = reader.snapshot(record.step)
        return letter_groups(reader, record.step, counts.letters - counts.redriven)
    finally:
        reader.close()


def test_letters_with_one_class_and_line_are_one_group_the_largest_first(home: Path) -> None:
    letters = [letter_of(number) for number in range(10)]
    other = 'Traceback\n  File "/a/prices.py", line 20, in convert\n    x\nOverflowError: too large\n'
    letters.append(letter_of(11, 2, error_type="OverflowError", traceback=other))
    found = grouped(make_run(home, Sample(chunks=12, letters=letters)))
    assert [(group.error_type, group.place, group.count) for group in found.groups] == [
        ("ValueError", "prices.py:14 in to_cents", 10),
        ("OverflowError", "prices.py:20 in convert", 1),
    ]
    assert found.groups[0].first is not None
    assert found.groups[0].first.chunk_id == 0
    assert (found.read, found.total, found.is_whole) == (11, 11, True)


def test_redriven_letters_are_not_grouped(home: Path) -> None:
    letters = [letter_of(1), letter_of(2)]
    found = grouped(make_run(home, Sample(letters=letters, redriven=((1, 0),))))
    assert [group.count for group in found.groups] == [1]


def test_a_damaged_letter_is_a_group_of_its_own(home: Path) -> None:
    folder = make_run(home, Sample(letters=[letter_of(1), letter_of(2)]))
    damage(folder, "UPDATE letter SET data=x'93' WHERE chunk=2")
    found = grouped(folder)
    assert sorted((group.error_type, group.count) for group in found.groups) == [("ValueError", 1), (DAMAGED, 1)]


def test_a_letter_of_a_huge_entry_is_counted_and_not_read(home: Path) -> None:
    found = grouped(make_run(home, Sample(letters=[letter_of(1, entry="x" * 1_000_000)])))
    assert [(group.error_type, group.count) for group in found.groups] == [(LARGE, 1)]


def test_many_kinds_share_the_last_group(home: Path) -> None:
    letters = [letter_of(number, error_type=f"Error{number}") for number in range(130)]
    found = grouped(make_run(home, Sample(chunks=130, letters=letters)))
    assert len(found.groups) == 101
    assert (found.groups[0].error_type, found.groups[0].count) == ("others", 30)


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_any_text_can_be_grouped(home: Path, text: str) -> None:
    letter = letter_of(1, error_type=text, traceback=f'File "{text}", line 3, in {text}', message=text, function=text)
    [group] = grouped(make_run(home, Sample(letters=[letter]))).groups
    assert len(group.error_type) <= 120
    assert len(group.place) <= 240
    assert (group.error_type + group.place).isprintable() or not group.error_type + group.place


def test_pages_of_a_group_follow_each_other_without_gap_and_repetition(home: Path) -> None:
    letters = [letter_of(number // 2, number % 2, error_type="AB"[number % 3 == 0]) for number in range(60)]
    folder = make_run(home, Sample(chunks=30, letters=letters))
    reader, _ = opened(folder)
    wanted = key_of(("A", "prices.py:14 in to_cents"))
    found, after = [], (-1, -1)
    try:
        while True:
            page, following = letters_in_group(reader, 0, wanted, after=after, limit=7)
            found += [(kept.chunk_id, kept.index) for kept in page]
            if following is None:
                break
            after = following
    finally:
        reader.close()
    assert found == [(number // 2, number % 2) for number in range(60) if number % 3]


def test_a_letter_of_a_whole_chunk_comes_before_those_of_its_entries(home: Path) -> None:
    folder = make_run(home, Sample(letters=[letter_of(3, 0), letter_of(3, None)]))
    reader, _ = opened(folder)
    try:
        page, after = letters_in_group(reader, 0, None, after=(-1, -1), limit=10)
    finally:
        reader.close()
    assert ([kept.index for kept in page], after) == ([None, 0], None)


@pytest.mark.parametrize(
    ("traceback", "expected"),
    [
        ('File "/a/b.py", line 3, in f\n  x\nFile "/a/c.py", line 9, in g\n  y', "c.py:9 in g"),
        ('  File "<string>", line 1, in <module>', "<string>:1 in <module>"),
        ('  File "x.py", line 7\n    1 +\nSyntaxError: invalid syntax', "x.py:7"),
        ("ValueError: no frame", None),
        ('File "x.py", line ' + "9" * 5000, "x.py:999999999"),
        ("", None),
    ],
)
def test_the_innermost_line_of_a_traceback_is_found(traceback: str, expected: str | None) -> None:
    found = line_of(traceback)
    assert (None if found is None else str(found)) == expected


OWN = """Traceback (most recent call last):
  File "/venv/elastic/stages/worker/worker.py", line 146, in _fold
    state = aggregator.add_many(state, iter(entries))
  File "/home/ada/prices.py", line 9, in convert
    return to_cents(row)
  File "/venv/lib/json/decoder.py", line 337, in decode
    obj, end = self.raw_decode(s)
json.decoder.JSONDecodeError: Expecting value
"""


def test_the_frames_of_elastic_before_those_of_the_user_are_left_out() -> None:
    found = own_traceback(OWN).splitlines()
    assert found[0] == '  File "/home/ada/prices.py", line 9, in convert'
    assert found[-1] == "json.decoder.JSONDecodeError: Expecting value"


def test_of_chained_errors_the_last_one_is_shown() -> None:
    chained = (
        'Traceback (most recent call last):\n  File "/a/first.py", line 1, in f\n    x\nKeyError: 1\n\nDuring\n\n' + OWN
    )
    assert own_traceback(chained) == own_traceback(OWN)
    plain = chained.replace("/venv/elastic/stages/worker/worker.py", "/a/second.py")
    assert own_traceback(plain).splitlines()[0] == '  File "/a/second.py", line 146, in _fold'


@pytest.mark.parametrize("text", ["", "ValueError: no frame", *HOSTILE_TEXTS])
def test_a_traceback_without_frames_is_shown_as_it_is(text: str) -> None:
    assert own_traceback(text) == text[-20_000:].rstrip()


def test_groups_are_kept_until_the_file_changes(home: Path) -> None:
    folder = make_run(home, Sample(letters=[letter_of(1), letter_of(2)]))
    cache = LetterGroupCache()
    reader, _ = opened(folder)
    try:
        first = cache.groups(reader, 0, 2)
        assert cache.groups(reader, 0, 2) is first
        damage(folder, "UPDATE letter SET data=x'93' WHERE chunk=2")
        assert len(cache.groups(reader, 0, 2).groups) == 2
    finally:
        reader.close()
