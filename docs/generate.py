"""Write the reference pages that follow from the code: options, command line, configuration, errors and REST API.

python docs/generate.py             # writes docs/reference: options, command line, configuration, errors, REST API
python docs/generate.py --check     # writes nothing; exits with 1 if a page is out of date
"""

import ast
import dataclasses
import functools
import importlib
import inspect
import json
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

import elastic
from elastic.cli.command_index import INDEX
from elastic.cli.main import app
from elastic.config.options import OPTIONS, SECTIONS
from elastic.core.errors import ElasticError
from elastic.engine.options import GivenOptions, Options
from elastic.web.api.description import describe
from elastic.web.app import API

FOLDER = Path(__file__).parent / "reference"

#: Options that `Options` stores under another name.
ALIASES = {
    "on_error": "`fail`: the step stops; `skip`: the entry is left out and counted; `dead-letter`: it is also kept.",
    "interceptor": "An `Interceptor`, its class, or a list of them; each call adds to the ones given before.",
    "stages": "ElasticFlow's name for `workers`.",
    "chaos_spirits": "ElasticFlow's number of spirits from 1 to 46, see [Test with chaos](../how-to/chaos-test.md).",
}


_OPTIONS_INTRO = """\
# Options of a flow

`Flow.run(...)`, `Flow.options(...)`, `elastic.Step(...)`, `elastic.resume(...)` and `elastic.redrive(...)` take these
keywords. An empty default means that the option is unset. An unknown name or an invalid value raises `UsageError`.
The section `[flow]` of [the configuration](configuration.md#flow) sets other defaults for an installation.

| option | default | meaning |
| --- | --- | --- |"""

_CONFIGURATION_INTRO = """\
# Configuration

Elastic reads settings from four places. A later place overrides an earlier one:

1. the defaults below
2. `$ELASTIC_HOME/elastic.toml`; `ELASTIC_HOME` is `~/.elastic` if it is not set
3. `./elastic.toml`, which may set only the keys marked *local*
4. environment variables such as `ELASTIC__CORE__PARALLELISM=8`

`elastic config list --sources` prints each value and its source. `elastic config lint` reports every error. An unknown
key is an error. `{home}` stands for `ELASTIC_HOME`. A *secret* key can also be set with `<key>_cmd` (the output of a
command) or `<key>_file` (the content of a file)."""

_COMMAND_LINE_INTRO = """\
# Command line

Every command prints its help with `--help`. Lists and results take `-o json`. An error is one sentence on the standard
error; `elastic --debug COMMAND ...` adds the traceback.

| exit code | meaning |
| --- | --- |
| 0 | success |
| 1 | the command, the flow or the verification failed |
| 2 | the command is invalid as written |
| 75 | the run is suspended by its disk or its cluster; `elastic resume` continues it |
| 130 | interrupted |

| command | purpose |
| --- | --- |"""

_ERRORS_INTRO = """\
# Errors

Every error that Elastic raises on purpose derives from `ElasticError`. Its message says what happened, names the ids,
and says what to do. An error that crosses processes keeps its fields as attributes. A class in parentheses is a
built-in base class.
"""


def comments_of(owner: type) -> dict[str, str]:
    """Return the `#:` comment above each field of a class."""
    lines = inspect.getsource(owner).splitlines()
    [node] = ast.parse(inspect.getsource(owner)).body
    assert isinstance(node, ast.ClassDef)
    found = {}
    for field in node.body:
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            above: list[str] = []
            for line in reversed(lines[: field.lineno - 1]):
                if not line.strip().startswith("#:"):
                    break
                above.insert(0, line.strip().removeprefix("#:").strip())
            found[field.target.id] = " ".join(above)
    return found


def fields_of(owner: type) -> Iterator[tuple[str, str, str]]:
    """Yield name, default and comment of each option, those of nested values included."""
    comments = comments_of(owner)
    for field in dataclasses.fields(owner):  # type: ignore[arg-type]
        factory = field.default_factory
        if isinstance(factory, type) and dataclasses.is_dataclass(factory) and field.name not in _given():
            yield from fields_of(factory)
        elif field.default is not dataclasses.MISSING:
            yield field.name, shown(field.default), comments[field.name]
        else:
            yield field.name, f"`{getattr(factory, '__name__', factory)}()`", comments[field.name]


def _given() -> dict[str, Any]:
    return GivenOptions.__annotations__


def shown(value: Any) -> str:
    """Return a default value as the cell of a table."""
    if value is None or value == "":
        return ""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1024 and value % (1 << 20) == 0:
        return f"`{value >> 20} << 20`"
    return f"`{value.value!r}`" if hasattr(value, "value") else f"`{value!r}`"


def sentence(text: str) -> str:
    """Return a comment as the text of a table cell; outside of code, HTML and emphasis are escaped."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()).replace("|", "\\|"))
    return "".join(part if at % 2 else part.replace("<", "&lt;").replace("*", "\\*") for at, part in enumerate(parts))


def options_page() -> str:
    """Return the page of the options of a flow."""
    known = {name: (default, comment) for name, default, comment in fields_of(Options)}
    rows = []
    for name in _given():
        default, comment = known.get(name, ("", ""))
        comment = comment or ALIASES[name]
        rows.append(f"| `{name}` | {default} | {sentence(comment)} |")
    return "\n".join([_OPTIONS_INTRO, *rows])


def configuration_page() -> str:
    """Return the page of the settings of an installation."""
    lines = [_CONFIGURATION_INTRO]
    for section in SECTIONS:
        lines += ["", f"## [{section}]", "", "| key | type | default | meaning |", "| --- | --- | --- | --- |"]
        for option in OPTIONS:
            if option.section == section:
                marks = [name for name, is_on in (("secret", option.is_secret), ("local", option.is_local)) if is_on]
                mark = f" *({', '.join(marks)})*" if marks else ""
                default = shown(option.default)
                lines.append(f"| `{option.key}` | {option.kind.__name__} | {default} | {sentence(option.doc)}{mark} |")
    return "\n".join([*lines, ""])


def command_line_page() -> str:
    """Return the page of all commands."""
    root: Any = typer.main.get_command(app)
    context = root.context_class(root, info_name="elastic")
    lines = [
        _COMMAND_LINE_INTRO,
        *(f"| [`elastic {name}`](#elastic-{name}) | {sentence(entry.summary)} |" for name, entry in INDEX.items()),
    ]
    for name in INDEX:
        lines += command_section(root.get_command(context, name), name, context, level=2)
    return "\n".join([*lines, ""])


def command_section(command: Any, name: str, parent: Any, *, level: int) -> Iterator[str]:
    """Yield the lines about a command and those below it."""
    context = command.context_class(command, info_name=name, parent=parent)
    usage = " ".join(command.get_usage(context).split()).removeprefix("Usage: ")
    yield from ("", f"{'#' * level} {usage.split(' [')[0].split(' {')[0].split(' COMMAND')[0]}", "")
    below = getattr(command, "commands", {})
    if not below:
        yield from ("```text", usage, "```", "")
    yield from paragraphs(command.help or "")
    rows = [parameter.get_help_record(context) for parameter in command.get_params(context) if parameter.name != "help"]
    if any(rows):
        yield from ("| parameter | meaning |", "| --- | --- |")
        yield from (f"| `{row[0].replace('|', '/')}` | {sentence(row[1])} |" for row in rows if row)
        yield ""
    if command.epilog:
        yield from paragraphs(command.epilog)
    for each in below:
        yield from command_section(below[each], each, context, level=level + 1)


def paragraphs(text: str) -> Iterator[str]:
    """Yield the lines of a help text as Markdown."""
    for paragraph in re.split(r"\n\s*\n", text.replace("\b", "").strip()):
        lines = [line.strip() for line in paragraph.splitlines()]
        if lines[0].startswith("For example:") and "`" not in paragraph:
            commands = [line.removeprefix("For example:").strip() for line in lines]
            yield from ("For example:", "", "```text", *filter(None, commands), "```", "")
        else:
            yield from (" ".join(part for part in lines).replace("<", "&lt;"), "")


def errors_page() -> str:
    """Return the page of all errors, as a tree."""
    for module in pkgutil.walk_packages(elastic.__path__, "elastic."):
        if module.name.rpartition(".")[2] == "errors":
            importlib.import_module(module.name)
    return "\n".join([_ERRORS_INTRO, *error_rows(ElasticError, depth=0)])


def error_rows(error: type[Exception], *, depth: int) -> Iterator[str]:
    """Yield a list item for an error and for each error below it; private ones are left out."""
    builtins = [base.__name__ for base in error.__bases__ if base.__module__ == "builtins" and base is not Exception]
    also = f" ({', '.join(builtins)})" if builtins else ""
    doc = sentence((inspect.getdoc(error) or "").split("\n\n")[0])
    yield f"{'  ' * depth}- `{error.__name__}`{also}: {doc}"
    public = [one for one in error.__subclasses__() if one.__module__.endswith("errors") and one.__name__[0] != "_"]
    # A class below two others of the tree is listed below the first one.
    for below in sorted(public, key=lambda one: one.__name__):
        if next(base for base in below.__bases__ if issubclass(base, ElasticError)) is error:
            yield from error_rows(below, depth=depth + 1)


_REST_INTRO = """\
# REST API

The web server answers JSON below `/api/v1`. [openapi.json](openapi.json) describes every parameter, body and response
(OpenAPI 3.1); a running server answers it at `/api/v1/openapi.json`.

- **Token**: create one with `elastic tokens create` or on the page Admin / API tokens, and send it as
  `Authorization: Bearer els_...`. It has at most the role of its user. It may send 20 requests a second, and 40 at
  once; then the status is 429, and `Retry-After` has the seconds to wait.
- **Lists** have `items` and `next`, the URL of the next page, which is null on the last one. `limit` is at most 500.
- **Errors** are problem documents (RFC 9457): `detail` says what happened, `hint` what to do, `near` names similar ids.
- **ETag**: a response to GET has one; a request with `If-None-Match` is answered with 304 if nothing has changed.
- **If-Match**: a request that changes something and has this header, with the ETag of a GET of the same address, is
  refused with 412 if the object has changed since. The first of two such requests with the same ETag wins.
- **fields**: `?fields=a,b` selects fields of an object, or of the items of a list. `?count=true` counts runs and task
  instances over all pages, up to 10,001.
- **Idempotency-Key**: a request that changes something may have this header. A repetition with the same key within a
  day gets the first answer; another request with the key is refused with 422, and a failed request may be repeated.
- **Clear** lists what it would clear unless `dry_run` is false. One request clears at most 10,000 task instances.
- **Actions on flows** (verify, resume, redrive) are answered with 202, and `Location` is the address of the action."""


def rest_page() -> str:
    """Return the page of the REST API: its rules and its operations."""
    lines = [_REST_INTRO, "", "| operation | least role | purpose |", "| --- | --- | --- |"]
    for path, operations in api_document()["paths"].items():
        for method, one in operations.items():
            purpose = one.get("description", one["summary"]).splitlines()[0]
            lines.append(f"| `{method.upper()} {path}` | {one['x-least-role']} | {sentence(purpose)} |")
    return "\n".join(lines)


@functools.cache
def api_document() -> dict[str, Any]:
    """Return the OpenAPI description of the web server, without its version, which changes with every release."""
    document = describe([route for router in API for route in router.routes])
    document["info"]["version"] = "1"
    return document


PAGES: dict[str, Callable[[], str]] = {
    "rest-api.md": rest_page,
    "options.md": options_page,
    "command-line.md": command_line_page,
    "configuration.md": configuration_page,
    "errors.md": errors_page,
}

_NOTE = "<!-- Generated by docs/generate.py; change the code instead. -->\n\n"


#: Generated page or file of data by name.
FILES = (*PAGES, "openapi.json")


def page(name: str) -> str:
    """Return the text of a generated page, no blank lines in a row, none at the end; or that of a file of data."""
    if name == "openapi.json":
        return json.dumps(api_document(), indent=1, sort_keys=True) + "\n"
    return _NOTE + re.sub(r"\n{3,}", "\n\n", PAGES[name]().strip()) + "\n"


def main(arguments: list[str]) -> int:
    """Write the pages, or compare them; return the exit code."""
    outdated = []
    for name in FILES:
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != page(name):
            outdated.append(path)
            if "--check" not in arguments:
                path.write_text(page(name), encoding="utf-8")
    if "--check" in arguments and outdated:
        print(f"out of date: {', '.join(map(str, outdated))}. Run `python docs/generate.py`.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
