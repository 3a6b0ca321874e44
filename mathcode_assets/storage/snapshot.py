"""A lake as it was at one moment: each manifest read once, each file looked up in one listing a table.

For questions about many partitions at once. Asked one by one, a thousand partitions of a dozen tables
that read each other are a hundred thousand small reads; here they are one listing and one bulk read a
table, which an object store answers concurrently.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mathcode_assets.storage.filesystem import Location
from mathcode_assets.storage.lake import WHOLE, Lake, Table
from mathcode_assets.storage.manifest import MANIFEST_NAME, Manifest, ManifestError, Recipe


@dataclass(slots=True)
class _Seen:
    """What was read so far: sizes of files and contents of manifests by path, and manifests once parsed."""

    keys: set[str] = field(default_factory=set)
    sizes: dict[str, int] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, Manifest | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _SeenTable(Table):
    """A partition whose manifest is read at most once; its rows are read as ever."""

    seen: _Seen

    def find_manifest(self) -> Manifest | None:
        """As `Table.find_manifest`, as it was when it was first asked for."""
        place = self.location / MANIFEST_NAME
        if place.path not in self.seen.manifests:
            content = self.seen.contents.get(place.path)
            found = None if content is None else Manifest.from_bytes(content, origin=place.uri)
            self.seen.manifests[place.path] = found
            self.seen.contents.pop(place.path, None)
        return self.seen.manifests[place.path]


class LakeSnapshot(Lake):
    """The lake read once, table by table, when a table is first asked for. Publishes nothing.

    Args:
        lake: the lake; what is published in it later is not seen here.
    """

    def __init__(self, lake: Lake) -> None:
        self.root = lake.root
        self._seen = _Seen()

    def table(self, key: str, partition: str = WHOLE) -> Table:
        """As `Lake.table`."""
        table = Lake.table(self, key, partition)
        if key not in self._seen.keys:
            self._read(key)
        return _SeenTable(table.key, table.partition, table.location, self._seen)

    def partitions(self, key: str) -> list[str]:
        """As `Lake.partitions`."""
        self.table(key)  # refuses unsafe keys, and reads the table
        folder = f"{self._folder(key).path}/"
        paths = (path for path in self._seen.sizes if path.startswith(folder))
        names = (path[len(folder) :].split("/") for path in paths)
        return sorted(name[0] for name in names if name[1:] == [MANIFEST_NAME])

    def is_current(self, table: Table, recipe: Recipe) -> bool:
        """As `Lake.is_current`."""
        try:
            manifest = self.table(table.key, table.partition).find_manifest()
        except ManifestError:
            return False
        return manifest is not None and manifest.recipe.fingerprint == recipe.fingerprint and self.is_whole(table)

    def is_whole(self, table: Table) -> bool:
        """Whether every file that the manifest names is there in its size; contents are not read.

        Raises:
            NotPublished: nothing is published there.
        """
        manifest = self.table(table.key, table.partition).manifest()
        return all(
            self._seen.sizes.get((table.location / file.name).path) == file.size_bytes for file in manifest.files
        )

    def publish(self, *args: Any, **options: Any) -> Manifest:
        """Refused."""
        raise NotImplementedError("a snapshot is read only")

    publish_folder = publish

    def remove(self, table: Table) -> None:
        """Refused."""
        raise NotImplementedError("a snapshot is read only")

    def _folder(self, key: str) -> Location:
        folder = self.root
        for part in key.split("/"):
            folder = folder / part
        return folder

    def _read(self, key: str) -> None:
        """List a table's files and read its manifests, in one call each."""
        self._seen.keys.add(key)
        filesystem = self.root.filesystem
        filesystem.invalidate_cache()
        folder = self._folder(key).path
        found: dict[str, dict[str, Any]] = filesystem.find(folder, detail=True)
        self._seen.sizes |= {path: info["size"] for path, info in found.items()}
        names = [path for path in found if path.endswith(f"/{MANIFEST_NAME}")]
        # One that goes away meanwhile counts as not published.
        if self.root.is_local:
            for name in names:
                with suppress(FileNotFoundError):
                    self._seen.contents[name] = Path(name).read_bytes()
        elif names:
            self._seen.contents |= filesystem.cat(names, on_error="omit")
