"""Shard manifest: a JSON file that names the file of each shard, with its number of keys and its digest."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from elastic.aggregators.sharded.sharded_aggregator import made_of
from elastic.core.contracts.spill_store import SpillSegment
from elastic.core.encoding import unpack
from elastic.core.errors import CorruptStoreError
from elastic.persistence.result_files.spill_files import FileSpillStore
from elastic.persistence.run_store.progress_row import row_mac


class ShardManifest:
    """Reader and writer of the manifests of one step.

    Each master that makes the result writes a manifest, named by its epoch. The valid one is made of the parts that the
    run's log of states names.

    Args:
        spill_store: Store with the files of the shards.
        shards: Number of shards.
        place: The id of the run and the number of the step.
        key: The run's key.
    """

    def __init__(self, spill_store: FileSpillStore, shards: int, place: tuple[str, int], key: bytes) -> None:
        self.spill_store, self.shards = spill_store, shards
        self._run_id, self._step = place
        self._key = key

    def write(self, jobs: Sequence[bytes], bundles: Sequence[SpillSegment], content: str) -> None:
        """Write the manifest of a result, and delete files that it does not need.

        Args:
            jobs: The merge jobs that made the result.
            bundles: The file of each shard.
            content: The digest of the result.

        Raises:
            StoreError: The manifest could not be written.
        """
        fields = {
            "run_id": self._run_id,
            "step": self._step,
            "keys": sum(bundle.keys for bundle in bundles),
            "digest": content,
            "made_of": made_of(jobs),
            "shards": [
                {
                    "file": bundle.name,
                    "keys": bundle.keys,
                    "bytes": bundle.size,
                    "index_bytes": bundle.index_size,
                    "digest": bundle.mark.hex(),
                }
                for bundle in bundles
            ],
        }
        fields["seal"] = self._seal(fields)
        self.spill_store.write(f"manifest-{self.spill_store.epoch}.json", _text(fields))
        self.spill_store.clean(_named(jobs) | {bundle.name for bundle in bundles})

    def read(self, jobs: Sequence[bytes]) -> list[SpillSegment] | None:
        """Return the files of the result that `jobs` made; None if there is no such result.

        Raises:
            CorruptStoreError: A manifest is damaged, and no other one is that of the result.
        """
        wanted, damage = made_of(jobs), None
        for path in self.paths():
            try:
                fields = self._fields(path)
            except CorruptStoreError as error:
                damage = damage or error
                continue
            if fields["made_of"] == wanted:
                return [_bundle(each) for each in fields["shards"]]
        if damage is not None:
            raise damage
        return None

    def paths(self) -> list[Path]:
        """Return the paths of all manifests, newest first."""
        found = self.spill_store.folder.glob("manifest-*.json")
        return sorted(found, key=lambda path: (len(path.name), path.name), reverse=True)

    def _fields(self, path: Path) -> dict[str, Any]:
        try:
            data = path.read_bytes()
            fields: dict[str, Any] = json.loads(data)
            is_as_written = data == _text(fields)
            if fields.pop("seal") == self._seal(fields) and is_as_written and len(fields["shards"]) == self.shards:
                return fields
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _damaged(path) from error
        raise _damaged(path)

    def _seal(self, fields: dict[str, Any]) -> str:
        text = json.dumps(fields, sort_keys=True).encode()
        return row_mac("manifest", self._key, self._run_id, (self._step, 0), text).hex()


def _bundle(fields: dict[str, Any]) -> SpillSegment:
    mark = bytes.fromhex(fields["digest"])
    return SpillSegment(fields["file"], 0, fields["bytes"], fields["index_bytes"], fields["keys"], mark)


def _text(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, indent=2).encode() + b"\n"


def _named(jobs: Sequence[bytes]) -> set[str]:
    """Return the names of the files that jobs read."""
    return {fields[0] for job in jobs for fields in unpack(job)[1]}


def _damaged(path: Path) -> CorruptStoreError:
    return CorruptStoreError(f"{path} was changed since it was written; restore a good copy of it.")
