"""The text that is counted: made once, into a cache folder.

The sources of the Linux kernel as Debian packs them (C sources and headers in the order of their paths, and the
documentation over and over), downloaded with apt. Where that cannot be had, Python's own sources and help take their
place: less of it, and with fewer distinct words.
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

#: Debian 12's; the figures of other kernels differ.
PACKAGE = "linux-source-6.1"

#: Files that a set of text is cut into.
PARTS = 8

#: What is left of a byte: printable ASCII, tabs and line ends. All languages then agree on what a word is.
_KEPT = bytes(
    byte if 32 <= byte < 127 or byte in b"\t\n" else ord(" ") if byte in b"\r\v\f" else ord("?") for byte in range(256)
)


@dataclass(frozen=True, slots=True)
class Document:
    """A text file of the origin, with plain bytes."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Text:
    """The three sets of text, as folders of files."""

    #: where the text comes from, for the report
    origin: str
    #: many distinct words
    sources: Path
    #: few distinct words
    documentation: Path
    #: many small files
    small: Path


#: For work on something else.
NO_TEXT = Text("nowhere", Path(), Path(), Path())


def text_of(cache: Path, size: int, small_files: int, *, kernel: bool) -> Text:
    """Return the sets of text, each of about `size` bytes; makes what the cache folder does not hold.

    Args:
        cache: Kept from run to run.
        size: Bytes of `sources` and of `documentation`; less where the origin has less sources.
        small_files: How many small files.
        kernel: Take the kernel's, if it can be had; else Python's at once.
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


#: A file that is written last, and so says that the others are there; it holds the text's origin.
_MADE = "origin"


def _is_made(folder: Path) -> bool:
    return (folder / _MADE).is_file()


def _write(
    folder: Path, sources: Iterable[Document], documentation: Iterable[Document], size: int, small_files: int
) -> None:
    # What is there was not finished.
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
    """Yield documents, and write the first ones to files of their own as well."""
    for number, document in enumerate(documents):
        if number < wanted:
            # A hundred to a folder. Numbers are names that no program passes over, as some do with a leading dot.
            place = folder / f"{number // 100:03}"
            place.mkdir(exist_ok=True)
            (place / f"{number:05}.txt").write_bytes(document.data)
        yield document


def _write_parts(folder: Path, documents: Iterable[Document], size: int) -> None:
    """Write whole documents to files of an eighth of the size each, or a little more."""
    remaining = iter(documents)
    for part in range(PARTS):
        with (folder / f"part{part}.txt").open("wb") as file:
            for document in remaining:
                file.write(document.data)
                if file.tell() >= size // PARTS:
                    break


def _package(cache: Path) -> Path | None:
    """Return the package, downloaded if need be; None, and a word about it, where it cannot be had."""
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
        f"no {PACKAGE} ({reason}); Python's own sources take its place, and are smaller. With dpkg-deb and the package "
        f"(on Debian 12 `apt-get download {PACKAGE}`) in {cache}, it is taken from there.",
        file=sys.stderr,
    )


def _kernel(package: Path) -> Iterator[Document]:
    """Yield the kernel's files in the order of the archive, which is that of their paths; nothing is unpacked."""
    # Who wants no more of it closes the pipe, and dpkg-deb complains.
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
    """Write about `size` bytes of Python's own sources, over and over."""
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
