"""Publication of a folder: the claim of a run, the manifest of its files, and the mark of success.

The steps are safe to repeat, so a resumed run continues a publication that a crash interrupted at any moment:

1. The marker `_unfinished.json` names the run that writes, once the run's store has the step, so that the run can be
   resumed. Only one run can create the marker.
2. Attempts get their names. Readers of the manifest do not see them yet.
3. Attempts that no committed state names are removed.
4. `_manifest.json` is replaced: from now on the new files are the content of the folder.
5. Replaced files are removed, then `_SUCCESS` is written, then the marker is removed.
"""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from elastic.core.contracts.record_sink import Publication, SinkOwner
from elastic.core.contracts.sink import MANIFEST, MARKER, SUCCESS
from elastic.core.errors import ElasticError, StoreError, UsageError
from elastic.core.model.step import StepState
from elastic.core.model.written import Written, WrittenFile
from elastic.persistence.written_files.file_format import FileFormat
from elastic.persistence.written_files.file_output import FileWriter
from elastic.persistence.written_files.target_folder import TargetFolder, is_data_name, is_plain_name


class IfExists(StrEnum):
    """Treatment of a folder that another run wrote."""

    ERROR = "error"
    OVERWRITE = "overwrite"
    APPEND = "append"


@dataclass(frozen=True, slots=True)
class FilePlan:
    """How the files of a write are cut and named."""

    format: FileFormat
    #: Bytes at which a file is complete.
    file_bytes: int
    #: True: the names of the files sort in the order of the source.
    ordered: bool
    if_exists: IfExists


#: States of a step after which a new run may take its folder.
_ABANDONED = (StepState.ERROR, StepState.INTERRUPTED)


def tag_of(owner: SinkOwner) -> str:
    """Return the part of names that only attempts of one step have: 8 hexadecimal digits."""
    return blake2b(f"{owner.run_id}/{owner.step}".encode(), digest_size=4).hexdigest()


def identity_of(owner: SinkOwner) -> dict[str, Any]:
    """Return the fields by which a marker and a manifest name the master of a step."""
    return {"run_id": owner.run_id, "step": owner.step, "epoch": owner.epoch}


def marker_of(owner: SinkOwner, **more: Any) -> bytes:
    """Return the content of the marker of a step's master."""
    return _to_json({**identity_of(owner), **more})


class FolderPublication(Publication):
    """Publication of files in a target folder.

    Args:
        owner: The step.
        plan: How the files are written.
        folder_of: Returns the target folder for a step.
    """

    def __init__(self, owner: SinkOwner, plan: FilePlan, folder_of: Callable[[SinkOwner], TargetFolder]) -> None:
        self._owner, self._format, self._folder_of = owner, plan.format, folder_of
        self._if_exists = plan.if_exists
        self._folder = folder_of(owner)
        self.writer = FileWriter(self._folder, plan.format, plan.file_bytes, tag_of(owner), plan.ordered)
        self._is_claimed = False

    # -- before the run

    def check(self) -> None:
        self._check_content(self._marker())

    def prepare(self, parts: Sequence[WrittenFile]) -> None:
        self._check_content(self._marker())
        self._check_parts(parts)
        self._folder.make()

    def begin(self, parts: Sequence[WrittenFile]) -> None:
        folder, marker = self._folder, self._marker()
        if marker is None and not folder.put_new(MARKER, marker_of(self._owner)):
            marker = self._marker() or {}
        if marker is not None:
            self._take_over(marker)
        self._is_claimed = True
        if marker is None:
            try:
                # After the check of `prepare`, another run may have claimed the folder, and ended.
                self._check_content(None)
            except UsageError:
                folder.remove([MARKER])
                self._is_claimed = False
                raise

    def _take_over(self, marker: dict[str, Any]) -> None:
        """Replace the marker of an earlier master of this step, or of a run that gave the folder up."""
        self._check_marker(marker)
        if not self._is_mine(marker):
            self._check_content(marker)
            self._folder_of(_owner_of(marker)).sweep(_names_in(self._read(MANIFEST)))
            self._folder.make()
        replaces = marker.get("replaces", []) if self._is_mine(marker) else []
        self._folder.put(MARKER, marker_of(self._owner, replaces=replaces))

    def _check_marker(self, marker: dict[str, Any]) -> None:
        shown = self._folder.shown
        if not marker:
            raise UsageError(
                f"{shown!r} has a damaged {MARKER}, and its run is unknown; remove that file, or name another folder."
            )
        if self._is_mine(marker):
            self._check_epoch(marker)
        elif not marker.get("is_given_up"):
            raise UsageError(
                f"run {marker['run_id']} is writing to {shown!r}, or was stopped before its end; resume it with "
                f"`elastic resume {marker['run_id']}`, name another folder, or remove {MARKER} to give it up."
            )

    def _check_content(self, marker: dict[str, Any] | None) -> None:
        """Refuse a folder with files that this step did not write."""
        data = self._folder.foreign({tag_of(_owner_of(marker))} if marker else ())
        manifest = self._read(MANIFEST)
        if marker is not None:
            self._check_marker(marker)
            if self._is_mine(marker):
                return  # a publication may have given files their names
        if manifest is not None and self._is_mine(manifest):
            self._check_epoch(manifest)
            return
        if manifest is not None:
            self._check_manifest(manifest)
            return
        if data:
            shown = self._folder.shown
            raise UsageError(f"{shown!r} is not empty: it has {data!r}; name a folder that is empty or does not exist.")

    def _check_manifest(self, manifest: dict[str, Any]) -> None:
        """Refuse a folder that another run wrote, unless it may be replaced or added to."""
        shown = self._folder.shown
        if not manifest:
            raise UsageError(f"{shown!r} has a damaged {MANIFEST}; restore it, remove it, or name another folder.")
        if self._if_exists is IfExists.ERROR:
            raise UsageError(
                f"{shown!r} exists: run {manifest['run_id']} wrote it; name another folder, or give "
                "if_exists='overwrite' or 'append'."
            )
        now = self._format.describe()
        different = [name for name in ("format", "partition_by") if manifest.get(name) != now.get(name)]
        if self._if_exists is IfExists.APPEND and different:
            name = different[0]
            raise UsageError(
                f"{shown!r} has {name} {manifest.get(name)!r}, so files with {name} {now.get(name)!r} cannot be added; "
                "name another folder."
            )
        if self._if_exists is IfExists.APPEND and not all("records" in entry for entry in manifest.get("files", [])):
            raise UsageError(f"{shown!r} has a {MANIFEST} without numbers of records; name another folder.")

    def _check_epoch(self, found: dict[str, Any]) -> None:
        if found["epoch"] > self._owner.epoch:
            raise StoreError(
                f"{self._folder.shown} belongs to a later master of run {self._owner.run_id} (epoch {found['epoch']}, "
                f"this one has {self._owner.epoch}); wait for that master."
            )

    def _check_parts(self, parts: Sequence[WrittenFile]) -> None:
        for part in parts:
            if self._folder.size(part.name) != part.size:
                raise StoreError(
                    f"{part.name}, which run {self._owner.run_id} has written to {self._folder.shown}, is missing or "
                    "changed; start a new run."
                )

    # -- after the last chunk

    def written(self, parts: Sequence[WrittenFile]) -> Written:
        return Written(self._folder.shown, tuple(sorted(parts, key=lambda part: part.name)))

    def publish(self, parts: Sequence[WrittenFile]) -> None:
        folder, written = self._folder, self.written(parts)
        names = [part.name for part in written]
        replaced = list(self._check_claim().get("replaces", []))
        self._check_parts(parts)
        before = self._manifest_before()
        others = list(self._entries_of_others(before))
        if self._replaces_files_of(before):
            replaced += [entry["file"] for entry in others]
            others = []
            # Before the manifest that names them is gone.
            folder.put(MARKER, marker_of(self._owner, replaces=replaced))
        elif others:
            self._check_columns(before, written)
        folder.remove([SUCCESS])
        folder.reveal(names)
        kept = {*names, *(entry["file"] for entry in others)}
        folder.sweep(kept)
        folder.put(MANIFEST, self._manifest(written, others, before))
        self._conclude(set(replaced) - kept)
        self._is_claimed = False

    def _conclude(self, replaced: Collection[str]) -> None:
        self._folder.remove(replaced)
        self._folder.put(SUCCESS, b"")
        self._folder.remove([MARKER])

    def _replaces_files_of(self, manifest: dict[str, Any]) -> bool:
        """Return whether the step replaces the files of others: only once, not those that are added to its own."""
        return self._if_exists is IfExists.OVERWRITE and not self._is_in(manifest)

    def _is_in(self, manifest: dict[str, Any]) -> bool:
        """Return whether this step wrote a manifest, or files in it."""
        others = sum(1 for _ in self._entries_of_others(manifest))
        return self._is_mine(manifest) or others < len(manifest.get("files", []))

    def _manifest_before(self) -> dict[str, Any]:
        """Return the manifest of the folder, or {} if there is none.

        Raises:
            StoreError: It is damaged, so the files of other runs are unknown.
        """
        before = self._read(MANIFEST)
        is_countable = self._replaces_files_of(before or {}) or all(
            "records" in entry for entry in self._entries_of_others(before or {})
        )
        if before == {} or not is_countable:
            raise StoreError(
                f"{self._folder.shown!r} has a damaged {MANIFEST}; restore it, or remove it to give up the files of "
                "other runs."
            )
        return before or {}

    def _entries_of_others(self, manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the files of a manifest that other steps wrote, each with its step."""
        owner = {"run_id": manifest.get("run_id"), "step": manifest.get("step")}
        for entry in manifest.get("files", []):
            if not self._is_mine(named := {**owner, **entry}):
                yield named

    def _check_columns(self, manifest: dict[str, Any], written: Written) -> None:
        kept, new = manifest.get("columns"), next((file.columns for file in written if file.columns), None)
        if kept and new and kept != new:
            raise UsageError(
                f"the files in {self._folder.shown!r} have the columns {kept.strip()}, and those of this run have "
                f"{new.strip()}; write to another folder, or give the same columns."
            )

    def release(self, outcome: StepState, parts: Sequence[WrittenFile], *, keep: bool) -> None:
        if outcome.is_complete:
            return
        with suppress(ElasticError):
            marker, manifest = self._marker(), self._read(MANIFEST)
            if not self._is_claimed:
                if marker is None and not parts:
                    self._folder.discard()
                return
            if marker is None or not self._is_mine(marker) or marker["epoch"] != self._owner.epoch:
                return
            listed = _names_in(manifest)
            if manifest == {}:
                return  # which files the folder has is unknown
            if not self._is_in(manifest or {}):
                self._give_up(outcome, manifest, keep=keep)
            elif outcome in _ABANDONED and listed.issuperset(part.name for part in parts):
                # A failed redrive, or a publication that lacks only its end. Otherwise a redrive has committed parts,
                # with which a resumed run continues.
                self._folder.sweep(listed)
                self._conclude(set(marker.get("replaces", [])) - listed)

    def _give_up(self, outcome: StepState, manifest: dict[str, Any] | None, *, keep: bool) -> None:
        """Give up an unpublished step; the folder then has the content that it had before."""
        folder = self._folder
        if keep and outcome not in _ABANDONED:
            return
        if keep:
            folder.hide(_names_in(manifest))
        else:
            folder.sweep(_names_in(manifest))
        if manifest is not None and "format" in manifest:  # the folder of a sharded result has no `_SUCCESS`
            folder.put(SUCCESS, b"")
        if keep:
            folder.put(MARKER, marker_of(self._owner, is_given_up=True))
        else:
            folder.remove([MARKER])
            folder.discard()

    def _check_claim(self) -> dict[str, Any]:
        """Return the marker; refuse to publish in a folder that another master has claimed since."""
        marker = self._marker()
        if marker is None or not self._is_mine(marker):
            raise StoreError(
                f"{self._folder.shown} is no longer marked as the folder of run {self._owner.run_id}; move its files "
                "away, and start a new run."
            )
        self._check_epoch(marker)
        return marker

    def _manifest(self, written: Written, others: Sequence[dict[str, Any]], before: dict[str, Any]) -> bytes:
        owner = self._owner
        kept = before.get("columns") if others else None
        columns = next((file.columns for file in written if file.columns), kept)
        entries = sorted([*others, *map(_entry, written)], key=lambda entry: str(entry["file"]))
        facts = {
            **identity_of(owner),
            **self._format.describe(),
            "records": sum(entry["records"] for entry in entries),
            "columns": columns,
            "files": [],
        }
        # One line for each file, because there may be many.
        files = ",\n    ".join(json.dumps(entry) for entry in entries)
        listed = f"[\n    {files}\n  ]" if files else "[]"
        return _to_json(facts).replace(b'"files": []', b'"files": ' + listed.encode())

    # -- marker and manifest

    def _marker(self) -> dict[str, Any] | None:
        return self._read(MARKER)

    def _is_mine(self, found: dict[str, Any]) -> bool:
        return (found.get("run_id"), found.get("step")) == (self._owner.run_id, self._owner.step)

    def _read(self, name: str) -> dict[str, Any] | None:
        """Return the content of the marker or the manifest; None if the file is missing, {} if it is damaged."""
        data = self._folder.read(name)
        return None if data is None else _parsed(data)


def _parsed(data: bytes) -> dict[str, Any]:
    """Return the content of a marker or a manifest, which may come from outside; {} if it is damaged."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    # The run's id is part of the name of a folder that is removed, and so are the files.
    is_whole = (
        isinstance(found, dict)
        and is_plain_name(found.get("run_id"))
        and all(type(found.get(name)) is int and found[name] >= 0 for name in ("step", "epoch"))
        and all(isinstance(found.get(name, []), list) for name in ("files", "replaces"))
        and all(map(_is_entry, found.get("files", [])))
        and all(map(is_data_name, found.get("replaces", [])))
        and isinstance(found.get("columns"), str | None)
    )
    return found if is_whole else {}


def _is_entry(entry: Any) -> bool:
    """Return whether a value describes a file; those of a sharded result have no number of records."""
    return isinstance(entry, dict) and is_data_name(entry.get("file")) and type(entry.get("records", 0)) is int


def _names_in(manifest: dict[str, Any] | None) -> set[str]:
    return {entry["file"] for entry in (manifest or {}).get("files", [])}


def _owner_of(found: dict[str, Any]) -> SinkOwner:
    return SinkOwner(found["run_id"], found["step"], found["epoch"])


def _entry(file: WrittenFile) -> dict[str, Any]:
    return {
        "file": file.name,
        "records": file.records,
        "bytes": file.size,
        "sha256": file.sha256,
        "chunks": [list(span) for span in file.chunks],
    }


def _to_json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=2).encode() + b"\n"
