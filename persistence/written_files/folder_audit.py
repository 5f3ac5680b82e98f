"""Audit of a written folder: compares its files and its manifest with the parts that a run committed."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from elastic.core.contracts.record_sink import SinkDefect, SinkOwner
from elastic.core.contracts.sink import MANIFEST, SUCCESS
from elastic.core.model.written import WrittenFile
from elastic.persistence.written_files.target_folder import TargetFolder


@dataclass(frozen=True, slots=True)
class FolderAudit:
    """Audit of the files of one step. It reads every byte of them."""

    folder: TargetFolder
    owner: SinkOwner

    def defects(self, parts: Sequence[WrittenFile]) -> Iterator[SinkDefect]:
        """Yield the defects of the committed parts, of the manifest, and of the folder.

        Raises:
            StoreError: The folder cannot be read.
        """
        entries = self._entries()
        if entries is None:
            yield SinkDefect(f"{MANIFEST} in {self.folder.shown} is missing or damaged")
            entries = {}
        elif self._is_replaced(entries, parts):
            yield SinkDefect(f"another run has replaced the files in {self.folder.shown}")
            return
        for part in parts:
            yield from self._of_part(part, entries.get(part.name))
        yield from self._of_others(entries, {part.name for part in parts})
        if self.folder.size(SUCCESS) is None:
            yield SinkDefect(f"{SUCCESS} in {self.folder.shown} is missing")

    def _entries(self) -> dict[str, dict[str, Any]] | None:
        """Return the files that the manifest names, each with the step that wrote it; None without a manifest."""
        try:
            manifest = json.loads(self.folder.read(MANIFEST) or b"")
            owner = {"run_id": manifest["run_id"], "step": manifest["step"]}
            return {entry["file"]: {**owner, **entry} for entry in manifest["files"]}
        except (ValueError, KeyError, TypeError):
            return None

    def _is_mine(self, entry: dict[str, Any]) -> bool:
        return (entry["run_id"], entry["step"]) == (self.owner.run_id, self.owner.step)

    def _is_replaced(self, entries: dict[str, dict[str, Any]], parts: Sequence[WrittenFile]) -> bool:
        is_other = bool(entries) and not any(map(self._is_mine, entries.values()))
        return is_other and bool(parts) and not any(part.name in entries for part in parts)

    def _of_part(self, part: WrittenFile, entry: dict[str, Any] | None) -> Iterator[SinkDefect]:
        found = self.folder.digest(part.name)
        if found is None:
            yield SinkDefect(f"the file {part.name} is missing in {self.folder.shown}", part)
        elif found != (part.size, part.sha256):
            yield SinkDefect(f"the file {part.name} in {self.folder.shown} was changed since it was written", part)
        if entry is None:
            yield SinkDefect(f"{MANIFEST} does not name the file {part.name}", part)
        elif (entry.get("records"), entry.get("bytes"), entry.get("sha256")) != (part.records, part.size, part.sha256):
            yield SinkDefect(f"{MANIFEST} has other facts about the file {part.name} than the run", part)

    def _of_others(self, entries: dict[str, dict[str, Any]], names: set[str]) -> Iterator[SinkDefect]:
        for name, entry in entries.items():
            if name not in names and self._is_mine(entry):
                yield SinkDefect(f"{MANIFEST} names the file {name}, which the run has not written")
        for name in sorted(self.folder.files() - entries.keys() - names):
            yield SinkDefect(f"the file {name} in {self.folder.shown} is not one that {MANIFEST} names")
