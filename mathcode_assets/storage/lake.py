"""The lake: every table and artifact of one build under one root, published partition by partition.

Publishing writes files named by their content, then the manifest that names them, then removes what
the manifest no longer names. A crash at any point leaves the old partition or the new one, and files that
`Lake.clear_leftovers` removes. Decision 0029.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mathcode_assets.records import schema_name
from mathcode_assets.storage.filesystem import Location, locate, put_file, staged_file
from mathcode_assets.storage.full_disk import explained
from mathcode_assets.storage.leftovers import (
    TEMPORARY_PREFIX,
    NoLocks,
    clear_abandoned,
    clear_folder,
    held,
    process_folder,
    taken,
    work_folder,
)
from mathcode_assets.storage.manifest import (
    MANIFEST_NAME,
    Accounting,
    Manifest,
    ManifestError,
    PublishedFile,
    Recipe,
)
from mathcode_assets.storage.shards import file_sha256, read_batches, read_rows, write_shards

# Partition name of a table or artifact that has only one.
WHOLE = "all"
FOLDER_SCHEMA = "folder/1"
# Files that no manifest names (left by a crash) may belong to a publication still under way. Where locks cannot
# tell (some network file systems), age does.
ORPHAN_AGE_S = 3600

_SAFE_NAME = re.compile(r"[A-Za-z0-9._=-]+")


class NotPublished(LookupError):
    """The partition asked for has never been published, or was removed."""


@dataclass(frozen=True, slots=True)
class Table:
    """One partition of a table (or an artifact) in a lake; it may not be published yet."""

    key: str
    partition: str
    location: Location

    def find_manifest(self) -> Manifest | None:
        """The manifest, or None where nothing is published.

        Raises:
            ManifestError: the manifest cannot be read.
        """
        place = self.location / MANIFEST_NAME
        try:
            content = place.read_bytes()
        except FileNotFoundError:
            return None
        return Manifest.from_bytes(content, origin=place.uri)

    def manifest(self) -> Manifest:
        """The manifest.

        Raises:
            NotPublished: nothing is published here.
            ManifestError: the manifest cannot be read.
        """
        manifest = self.find_manifest()
        if manifest is None:
            raise NotPublished(f"{self.key} has no published partition {self.partition!r}")
        return manifest

    def files(self, manifest: Manifest | None = None) -> list[Location]:
        """The files the manifest names, in row order; it is read where it is not given.

        Raises:
            NotPublished: nothing is published here.
        """
        return [self.location / file.name for file in (manifest or self.manifest()).files]

    def batches(self, *, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows in order, a row group in memory at a time.

        Raises:
            NotPublished: nothing is published here.
        """
        manifest = self.manifest()
        for published, file in zip(manifest.files, self.files(manifest), strict=True):
            if file.is_local:
                yield from read_batches(file.path, columns=columns)
            else:
                with file.open(size_bytes=published.size_bytes) as stream:
                    yield from read_batches(stream, columns=columns)

    def rows(
        self, rows: np.ndarray, *, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
        """These rows (ascending) with their numbers; row groups without any are not read.

        Raises:
            NotPublished: nothing is published here.
            IndexError: a row that it has not.
        """
        first = 0
        manifest = self.manifest()
        if len(rows) and rows[-1] >= manifest.n_rows:
            raise IndexError(f"{self.key}[{self.partition}] has {manifest.n_rows} rows, not {rows[-1] + 1}")
        for published, file in zip(manifest.files, self.files(manifest), strict=True):
            end = first + (published.n_rows or 0)
            here = rows[np.searchsorted(rows, first) : np.searchsorted(rows, end)] - first
            if len(here):
                with ExitStack() as stack:
                    size = published.size_bytes
                    source = file.path if file.is_local else stack.enter_context(file.open(size_bytes=size))
                    for own, batch in read_rows(source, here, columns=columns):
                        yield first + own, batch
            first = end

    def verify(self) -> None:
        """Read every file again and compare it with the manifest.

        Raises:
            NotPublished: nothing is published here.
            ManifestError: a file is missing or its content is not what the manifest says.
        """
        for _ in self.verified_files():
            pass

    def verified_files(self) -> Iterator[Path]:
        """Each file, once it was compared with the manifest: itself, or a copy that is there until the next one.

        Raises:
            NotPublished: nothing is published here.
            ManifestError: a file is missing or its content is not what the manifest says.
        """
        manifest = self.manifest()
        for published, location in zip(manifest.files, self.files(manifest), strict=True):
            with ExitStack() as stack:
                local = Path(location.path) if location.is_local else stack.enter_context(staged_file(location))
                try:
                    if not location.is_local:
                        location.fetch(local)
                    sha256 = file_sha256(local)
                except FileNotFoundError as error:
                    raise ManifestError(f"{location.uri} is named by its manifest, but missing") from error
                if sha256 != published.sha256:
                    raise ManifestError(f"{location.uri} differs from its manifest")
                yield local

    def is_intact(self) -> bool:
        """Whether `verify` finds nothing: what is damaged is made again, not reused.

        Raises:
            NotPublished: nothing is published here.
        """
        try:
            self.verify()
        except ManifestError:
            return False
        return True


class Lake:
    """All tables and artifacts under one root, local or on an object store.

    Args:
        root: a path or any fsspec URI.
        storage_options: passed to the fsspec filesystem (endpoint, credentials).
    """

    def __init__(self, root: str | Path, storage_options: Mapping[str, Any] | None = None) -> None:
        self.root = locate(root, **dict(storage_options or {}))

    def table(self, key: str, partition: str = WHOLE) -> Table:
        """The partition of a table, published or not.

        Raises:
            ValueError: a key or partition that is not safe as a path.
        """
        location = self.root
        for part in [*key.split("/"), partition]:
            if not _SAFE_NAME.fullmatch(part) or part.startswith("."):
                raise ValueError(f"{part!r} in {key}[{partition}] cannot name a folder")
            location = location / part
        return Table(key, partition, location)

    def partitions(self, key: str) -> list[str]:
        """Names of the published partitions of a table, sorted."""
        self.table(key)  # refuses unsafe keys
        folder = self.root
        for part in key.split("/"):
            folder = folder / part
        if folder.is_local:
            return [entry.name for entry in folder.list() if (entry / MANIFEST_NAME).exists()]
        parts = (path.split("/") for path in folder.sizes())  # one listing, where a look at each would be two requests
        return sorted(name[0] for name in parts if name[1:] == [MANIFEST_NAME])

    def is_current(self, table: Table, recipe: Recipe) -> bool:
        """Whether the partition was published by exactly this recipe and its files are there."""
        try:
            manifest = table.find_manifest()
        except ManifestError:
            return False
        if manifest is None or manifest.recipe.fingerprint != recipe.fingerprint:
            return False
        sizes = table.location.sizes()
        return all(sizes.get(file.name) == file.size_bytes for file in manifest.files)

    def publish(
        self,
        table: Table,
        *,
        schema: pa.Schema,
        recipe: Recipe,
        batches: Iterable[pa.RecordBatch],
        accounting: Callable[[int], Accounting],
        n_tokens: Callable[[], int] | None = None,
        tokenizer: str | None = None,
        facts: Callable[[], Mapping[str, Any]] | None = None,
    ) -> Manifest:
        """Write the rows and make them the partition's content, atomically.

        Args:
            table: where to.
            schema: of the rows.
            recipe: what they were made from.
            batches: the rows, consumed once, never held as a whole.
            accounting: called with the number of rows written once all batches were consumed.
            n_tokens: total tokens, called at the end.
            tokenizer: name@version of the tokenizer that counted them.
            facts: further JSON values worth keeping in the manifest, called at the end.

        Raises:
            SchemaMismatch: a batch does not fit the schema; nothing is published.
            AccountingError: the rows do not add up; nothing is published.
        """
        with _publishing(table):
            files: list[PublishedFile] = []
            with ExitStack() as stack:
                paths = iter(lambda: stack.enter_context(staged_file(table.location)), None)
                for shard in write_shards(batches, schema, new_path=paths):
                    name = f"part-{len(files):05d}-{shard.sha256[:16]}.parquet"
                    put_file(shard.path, table.location / name)
                    files.append(
                        PublishedFile(name=name, sha256=shard.sha256, size_bytes=shard.size_bytes, n_rows=shard.n_rows)
                    )
            manifest = Manifest(
                key=table.key,
                partition=table.partition,
                schema=schema_name(schema),
                recipe=recipe,
                files=tuple(files),
                accounting=accounting(sum(file.n_rows for file in files)),
                n_tokens=n_tokens() if n_tokens else None,
                tokenizer=tokenizer,
                facts=dict(facts()) if facts else {},
            )
            _commit(table, manifest)
        return manifest

    def publish_folder(
        self, table: Table, *, folder: Path, recipe: Recipe, accounting: Accounting, facts: Mapping[str, Any]
    ) -> Manifest:
        """Make the files of a local folder (a model, an index) the partition's content, atomically.

        The files keep their relative names; `fetch_folder` gives the folder back.
        """
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        with _publishing(table, needed_bytes=sum(path.stat().st_size for path in paths)):
            files = []
            for path in paths:
                sha256 = file_sha256(path)
                # The content's hash leads the name, so a new version never overwrites the files of the old.
                name = f"{sha256[:16]}/{path.relative_to(folder).as_posix()}"
                target = table.location
                for part in name.split("/"):
                    target = target / part
                put_file(path, target)
                files.append(PublishedFile(name=name, sha256=sha256, size_bytes=path.stat().st_size))
            manifest = Manifest(
                key=table.key,
                partition=table.partition,
                schema=FOLDER_SCHEMA,
                recipe=recipe,
                files=tuple(files),
                accounting=accounting,
                facts=dict(facts),
            )
            _commit(table, manifest)
        return manifest

    def fetch_folder(self, table: Table, into: Path) -> Path:
        """Copy a published folder to a local one, and return it.

        Raises:
            NotPublished: nothing is published there.
        """
        manifest = table.manifest()
        for published, location in zip(manifest.files, table.files(manifest), strict=True):
            target = into / published.name.split("/", 1)[1]
            target.parent.mkdir(parents=True, exist_ok=True)
            location.fetch(target)
        return into

    def work_folder(self) -> AbstractContextManager[Path]:
        """A new empty local folder for intermediate files, gone afterwards.

        On the lake's own disk where the lake is local: temporary file systems are often small.
        """
        return work_folder(Path(self.root.path) if self.root.is_local else process_folder())

    def clear_leftovers(self, keys: Iterable[str]) -> int:
        """Remove what killed processes left in a local lake: files that no manifest names, and work folders.

        What a living process writes stays, and so does everything where locks cannot tell the two apart. An
        object store keeps no partial object, and forgets partial uploads by a rule of the bucket.

        Args:
            keys: of all tables that may have been published.

        Returns:
            How many files and folders were removed.
        """
        if not self.root.is_local:
            return 0
        root = Path(self.root.path)
        n_removed = clear_abandoned(root, TEMPORARY_PREFIX)
        for key in keys:
            for folder in sorted(path for path in (root / key).glob("*") if path.is_dir()):
                with suppress(NoLocks):
                    n_removed += _clear_partition(Table(key, folder.name, self.root / key / folder.name))
        return n_removed

    def remove(self, table: Table) -> None:
        """Take a partition out: its manifest first, so that no reader sees half of it."""
        (table.location / MANIFEST_NAME).remove()
        table.location.remove()


@contextmanager
def _publishing(table: Table, *, needed_bytes: int = 0) -> Iterator[None]:
    """While a partition is written: nobody clears its folder. Afterwards, what its manifest does not name goes.

    That holds for a publication that failed too: it gives back the space that it took.

    Raises:
        FullDisk: the disk was full.
    """
    before = _named(table)
    with explained(table.location, f"{table.key}[{table.partition}]", needed_bytes=needed_bytes):
        if not table.location.is_local:
            yield
            _clear_by_age(table, before)
            return
        try:
            with held(Path(table.location.path)):
                yield
        finally:
            try:
                _clear_partition(table)
            except NoLocks:
                _clear_by_age(table, before)


def _commit(table: Table, manifest: Manifest) -> None:
    """Make what was written the partition's content: the one step that readers see."""
    (table.location / MANIFEST_NAME).write_bytes(manifest.to_bytes())


def _clear_partition(table: Table) -> int:
    """Remove the files of a local partition that its manifest does not name, unless somebody is publishing it.

    Raises:
        NoLocks: that cannot be told.
    """
    folder = Path(table.location.path)
    with taken(folder) as is_ours:
        return clear_folder(folder, _named(table)) if is_ours else 0


def _clear_by_age(table: Table, before: frozenset[str]) -> None:
    """The same where nothing tells who is writing: what the manifest of before named, and what is old."""
    named, before = _tops(_named(table)), _tops(before)
    for entry in table.location.list():
        if entry.name not in named and (entry.name in before or entry.age_s() > ORPHAN_AGE_S):
            entry.remove()


def _named(table: Table) -> frozenset[str]:
    """Files that the manifest names, itself among them; none where there is no manifest that can be read."""
    try:
        manifest = table.find_manifest()
    except ManifestError:
        return frozenset({MANIFEST_NAME})
    return frozenset({MANIFEST_NAME, *(file.name for file in manifest.files)} if manifest else ())


def _tops(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.split("/")[0] for name in names)
