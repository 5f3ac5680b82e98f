"""Text of the benchmarks, created once in a cache folder.

The text is that of the Linux kernel as packaged by Debian, downloaded with apt: C sources and headers in the order of
their paths, and the documentation, repeated. If it is unavailable, Python's own sources and help replace it, with less
text and fewer distinct words.
"""

import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

#: Package of Debian 12; figures of other kernels differ.
PACKAGE = "linux-source-6.1"

#: Number of files of a set of text.
PARTS = 8

#: Kept bytes: printable ASCII, tabs and line ends, so that all tools agree on what a word is.
_KEPT = bytes(
    byte if 32 <= byte < 127 or byte in b"\t\n" else ord(" ") if byte in b"\r\v\f" else ord("?") for byte in range(256)
)


@dataclass(frozen=True, slots=True)
class Document:
    """Text file of the origin."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Text:
    """Folders of the three sets of text."""

    #: origin of the text, for the report
    origin: str
    #: many distinct words
    sources: Path
    #: few distinct words
    documentation: Path
    #: many small files
    small: Path


#: For workloads without text.
NO_TEXT = Text("nowhere", Path(), Path(), Path())


def text_of(cache: Path, size: int, small_files: int, *, kernel: bool) -> Text:
    """Return the sets of text, each of about `size` bytes; create the missing ones in the cache folder.

    Args:
        cache: Folder that is kept between runs.
        size: Bytes of `sources` and of `documentation`; fewer if the origin has fewer sources.
        small_files: Number of small files.
        kernel: Use the kernel's text if available; otherwise Python's.
    """
    amount = f"{size}-{small_files}"
    folder = cache / f"kernel-{amount}"
    if kernel and not _is_made(folder) and (package := _package(cache)):
        sources = (document for document in _kernel(package) if document.name.endswith((".c", ".h")))
        documentation = (document for document in _kernel(package) if "/Documentation/" in document.name)
        _write(folder, sources, documentation, size, small_files)
        (folder / _MADE).write_text(f"the Linux kernel's sources and documentation, {package.stem}")
    if not (kernel and _is_made(folder)):
        release = sys.version.split()[0]
        folder = cache / f"python-{release}-{amount}"
        if not _is_made(folder):
            _write(folder, _python_sources(), _python_help(), size, small_files)
            (folder / _MADE).write_text(f"Python {release}'s own sources and help")
    return Text((folder / _MADE).read_text(), folder / "sources", folder / "documentation", folder / "small")


#: File that is written last and marks the set as complete; it contains the origin of the text.
_MADE = "origin"


def _is_made(folder: Path) -> bool:
    return (folder / _MADE).is_file()


def _write(
    folder: Path, sources: Iterable[Document], documentation: Iterable[Document], size: int, small_files: int
) -> None:
    # The existing files are incomplete.
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("sources", "documentation", "small"):
        (folder / name).mkdir(parents=True)
    _write_parts(folder / "sources", _with_copies(sources, folder / "small", small_files), size)
    repeated = []
    written = 0
    for document in documentation:
        repeated.append(document)
        written += len(document.data)
        if written >= size:
            break
    _write_parts(folder / "documentation", cycle(repeated), size)


def _with_copies(documents: Iterable[Document], folder: Path, wanted: int) -> Iterator[Document]:
    """Yield documents, and also write the first ones to small files."""
    for number, document in enumerate(documents):
        if number < wanted:
            # A hundred per folder, named by numbers, because some tools skip names with a leading dot.
            place = folder / f"{number // 100:03}"
            place.mkdir(exist_ok=True)
            (place / f"{number:05}.txt").write_bytes(document.data)
        yield document


def _write_parts(folder: Path, documents: Iterable[Document], size: int) -> None:
    """Write whole documents to files of slightly more than an eighth of the size each."""
    remaining = iter(documents)
    for part in range(PARTS):
        with (folder / f"part{part}.txt").open("wb") as file:
            for document in remaining:
                file.write(document.data)
                if file.tell() >= size // PARTS:
                    break


def _package(cache: Path) -> Path | None:
    """Return the package, downloaded if necessary; print the reason and return None if it is unavailable."""
    cache.mkdir(parents=True, exist_ok=True)
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        _say_without("this is no Debian", cache)
        return None
    if not list(cache.glob("linux-source-*.deb")):
        print(f"downloading {PACKAGE} into {cache}", file=sys.stderr, flush=True)
        done = subprocess.run(
            ["apt-get", "--quiet", "download", PACKAGE], cwd=cache, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            _say_without((done.stderr.strip().splitlines() or ["apt-get failed"])[-1], cache)
            return None
    return min(cache.glob("linux-source-*.deb"))


def _say_without(reason: str, cache: Path) -> None:
    print(
        f"no {PACKAGE} ({reason}); Python's own sources replace it, and are smaller. To use the package, put it "
        f"(on Debian 12 `apt-get download {PACKAGE}`) in {cache}, it is taken from there.",
        file=sys.stderr,
    )


def _kernel(package: Path) -> Iterator[Document]:
    """Yield the files of the kernel in the order of their paths, without unpacking the archive."""
    # A consumer that stops early closes the pipe, and dpkg-deb reports an error.
    command = ["dpkg-deb", "--fsys-tarfile", str(package)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as unpacking,
        tarfile.open(fileobj=unpacking.stdout, mode="r|") as outer,
    ):
        archive = next(member for member in outer if member.name.endswith(".tar.xz"))
        with tarfile.open(fileobj=outer.extractfile(archive), mode="r|xz") as inner:
            for member in inner:
                if member.isreg() and (content := inner.extractfile(member)):
                    yield _plain(member.name, content.read())


def write_python(path: Path, size: int) -> None:
    """Write about `size` bytes of Python's own sources, repeated."""
    library = Path(sysconfig.get_paths()["stdlib"])
    sources = sorted([*library.glob("*.py"), *library.glob("pydoc_data/*.py")])
    block = b"".join(source.read_bytes().replace(b"\r", b"") for source in sources)
    with path.open("wb") as file:
        while file.tell() < size:
            file.write(block)


def _python_sources() -> Iterator[Document]:
    library = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(library.rglob("*.py")):
        yield _plain(str(path), path.read_bytes())


def _python_help() -> Iterator[Document]:
    from pydoc_data.topics import topics

    for name, topic in sorted(topics.items()):
        yield _plain(name, topic.encode())


def _plain(name: str, data: bytes) -> Document:
    data = data.translate(_KEPT)
    return Document(name, data if data.endswith(b"\n") else data + b"\n")
