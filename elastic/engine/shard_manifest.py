"""The manifest of a wide result: a JSON file that names the file of each shard, with its number of keys and digest."""

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
    """Writes and reads the manifest of one step.

    Each master that makes the result writes a manifest of its own, named by its epoch. One is that of the result if it
    says that it was made of what the run's log of states names.

    Args:
        depot: Where the files of the shards lie.
        shards: How many there are.
        place: The run, and the number of the step.
        key: The run's key.
    """

    def __init__(self, depot: FileSpillStore, shards: int, place: tuple[str, int], key: bytes) -> None:
        self.depot, self.shards = depot, shards
        self._run_id, self._step = place
        self._key = key

    def write(self, jobs: Sequence[bytes], bundles: Sequence[SpillSegment], content: str) -> None:
        """Keep where the result is, and remove what nobody needs any more.

        Args:
            jobs: What the result was made of.
            bundles: The file of each shard.
            content: The digest of the result.

        Raises:
            StoreError: It does not reach the disk.
        """
        told = {
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
        told["seal"] = self._seal(told)
        self.depot.write(f"manifest-{self.depot.epoch}.json", _text(told))
        self.depot.clean(_named(jobs) | {bundle.name for bundle in bundles})

    def read(self, jobs: Sequence[bytes]) -> list[SpillSegment] | None:
        """Return the files of the result that was made of what `jobs` name, or None where there is none.

        Raises:
            CorruptStoreError: A manifest is not as it was written, and no other one is that of the result.
        """
        wanted, damage = made_of(jobs), None
        for path in self.paths():
            try:
                told = self._told(path)
            except CorruptStoreError as error:
                damage = damage or error
                continue
            if told["made_of"] == wanted:
                return [_bundle(each) for each in told["shards"]]
        if damage is not None:
            raise damage
        return None

    def paths(self) -> list[Path]:
        """Return the manifests that there are, the newest first."""
        found = self.depot.folder.glob("manifest-*.json")
        return sorted(found, key=lambda path: (len(path.name), path.name), reverse=True)

    def _told(self, path: Path) -> dict[str, Any]:
        try:
            data = path.read_bytes()
            told: dict[str, Any] = json.loads(data)
            is_as_written = data == _text(told)
            if told.pop("seal") == self._seal(told) and is_as_written and len(told["shards"]) == self.shards:
                return told
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _damaged(path) from error
        raise _damaged(path)

    def _seal(self, told: dict[str, Any]) -> str:
        text = json.dumps(told, sort_keys=True).encode()
        return row_mac("manifest", self._key, self._run_id, (self._step, 0), text).hex()


def _bundle(told: dict[str, Any]) -> SpillSegment:
    mark = bytes.fromhex(told["digest"])
    return SpillSegment(told["file"], 0, told["bytes"], told["index_bytes"], told["keys"], mark)


def _text(told: dict[str, Any]) -> bytes:
    return json.dumps(told, indent=2).encode() + b"\n"


def _named(jobs: Sequence[bytes]) -> set[str]:
    """Return the files that jobs read."""
    return {fields[0] for job in jobs for fields in unpack(job)[1]}


def _damaged(path: Path) -> CorruptStoreError:
    return CorruptStoreError(f"{path} is not as it was written; put back a good copy of it.")
