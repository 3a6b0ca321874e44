"""A lake as it was at one moment: each manifest read once, each file looked up in one listing a table.

For questions about many partitions at once. Asked one by one, a thousand partitions of a dozen tables
that read each other are a hundred thousand small reads; here they are one listing and one bulk read a
table, which an object store answers concurrently.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mathcode_assets.storage.filesystem import Location, read_files
from mathcode_assets.storage.lake import WHOLE, Lake, Table
from mathcode_assets.storage.manifest import MANIFEST_NAME, Manifest, ManifestError, Recipe


@dataclass(slots=True)
class _Seen:
    """What was read so far.

    files: sizes of the files of each partition of a table; stale: partitions of such tables that are read again.
    contents, manifests: by path, before and after they are parsed.
    """

    files: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    stale: set[tuple[str, str]] = field(default_factory=set)
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
        if key not in self._seen.files:
            self._read(key)
        elif (key, partition) in self._seen.stale:
            self._read_again(table)
        return _SeenTable(table.key, table.partition, table.location, self._seen)

    def partitions(self, key: str) -> list[str]:
        """As `Lake.partitions`."""
        self.table(key)  # refuses unsafe keys, and reads the table
        for stale in [name for of, name in self._seen.stale if of == key]:
            self.table(key, stale)
        return sorted(name for name, files in self._seen.files[key].items() if MANIFEST_NAME in files)

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
        sizes = self._seen.files[table.key].get(table.partition, {})
        return all(sizes.get(file.name) == file.size_bytes for file in manifest.files)

    def forget(self, key: str, partition: str | None = None) -> None:
        """Read a partition, or a whole table, again when it is asked for next: something was published there."""
        if partition is None:
            self._seen.files.pop(key, None)
            folder = f"{self._folder(key).path}/"
            for known in (self._seen.contents, self._seen.manifests):
                for path in [path for path in known if path.startswith(folder)]:
                    del known[path]
        else:
            self._seen.stale.add((key, partition))

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
        folder = self._folder(key)
        partitions: dict[str, dict[str, int]] = {}
        for path, size in folder.sizes().items():
            partition, _, name = path.partition("/")
            partitions.setdefault(partition, {})[name] = size
        self._seen.files[key] = partitions
        self._seen.stale = {stale for stale in self._seen.stale if stale[0] != key}
        published = [partition for partition, names in partitions.items() if MANIFEST_NAME in names]
        # One that goes away meanwhile counts as not published.
        self._seen.contents |= read_files([folder / partition / MANIFEST_NAME for partition in published])

    def _read_again(self, table: Table) -> None:
        place = table.location / MANIFEST_NAME
        self._seen.stale.discard((table.key, table.partition))
        self._seen.contents.pop(place.path, None)
        self._seen.manifests.pop(place.path, None)
        self._seen.files[table.key][table.partition] = table.location.sizes()
        self._seen.contents |= read_files([place])
