"""The pictures of the documentation can be taken again, from a service that runs."""

from pathlib import Path
from typing import Any

import pytest

from tests.web import pictures

DOCS = Path(__file__).parents[2] / "docs"

#: First bytes of a PNG file.
_PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.slow
def test_each_picture_is_taken_from_a_running_service(tmp_path: Path, _browser: Any) -> None:
    pictures.take(tmp_path, _browser, days=3)
    for name in pictures.NAMES:
        data = (tmp_path / name).read_bytes()
        assert data.startswith(_PNG)
        assert int.from_bytes(data[16:20]) == int.from_bytes((DOCS / "images" / name).read_bytes()[16:20])
    assert len({(tmp_path / name).read_bytes() for name in pictures.NAMES}) == len(pictures.NAMES)


def test_each_picture_has_its_place_in_the_documentation() -> None:
    pages = [DOCS.parent / "README.md", *DOCS.rglob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    assert sorted(path.name for path in (DOCS / "images").iterdir()) == sorted(pictures.NAMES)
    assert not [name for name in pictures.NAMES if f"images/{name})" not in text]
