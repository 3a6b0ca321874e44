"""One build's place: its sources file, its lake, its settings. What asset functions read from."""

from __future__ import annotations

import dataclasses
import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from mathcode_assets.config import SourcesFile, SourcesFileError
from mathcode_assets.engine.mapping import Engine, shared_engine
from mathcode_assets.engine.settings import RAY, EngineSettings
from mathcode_assets.sources.partitions import Partition, list_partitions
from mathcode_assets.storage.filesystem import Location, locate
from mathcode_assets.storage.lake import WHOLE, Lake, Table
from mathcode_assets.storage.leftovers import process_folder
from mathcode_assets.storage.manifest import digest
from mathcode_assets.storage.mapped import Artifact, BatchMap, map_rows

ConfigT = TypeVar("ConfigT")
MODEL_CACHE_PREFIX = "models-"
GENERATION_FOLDER = ".generation"
EXCHANGE_FOLDER = ".exchange"


class Withheld(RuntimeError):
    """A table is not made because what it would be made from did not pass its blocking checks."""


class Workspace:
    """The sources file opened: lake, partitions, settings, promoted models.

    Args:
        sources: the checked sources file.
        root: another root than the file names.
    """

    def __init__(self, sources: SourcesFile, root: str | None = None) -> None:
        self.sources = sources
        self.lake = Lake(root or sources.root)
        self._models: dict[str, Path] = {}

    def partitions(self, source: str) -> dict[str, Partition]:
        """The partitions of a source as its files are now, by key; none where the file has no such source.

        Raises:
            SourceListingError: the source cannot be listed, or two files claim one key.
        """
        spec = self.sources.sources.get(source)
        return {} if spec is None else {partition.key: partition for partition in list_partitions(spec)}

    def accepts_contaminated(self, source: str, partition: str) -> bool:
        """Whether the sources file accepts this shard although it is contaminated."""
        spec = self.sources.sources.get(source)
        return spec is not None and partition in spec.accept_contaminated

    def settings(self, section: str, config: type[ConfigT]) -> ConfigT:
        """A stage's config: its defaults, with what the sources file's `settings` say.

        Raises:
            SourcesFileError: an unknown name or a value of another type. Names the setting.
        """
        given = self.sources.settings.get(section, {})
        return _configured(config, given, where=f"{self.sources.name}: settings.{section}")

    def version(self, key: str, partition: str = WHOLE) -> str:
        """Data version of a published partition.

        Raises:
            NotPublished: it is not there yet.
        """
        return self.lake.table(key, partition).manifest().data_version

    def tables(self, key: str, source: str) -> list[Table]:
        """The partitions of a table that its source has now, sorted by key."""
        return [self.lake.table(key, partition) for partition in sorted(self.partitions(source))]

    def model_version(self, name: str) -> str:
        """`name@version` of the promoted model.

        Raises:
            NotPublished: none is promoted.
        """
        return f"{name}@{self.version(f'promoted/{name}')[:12]}"

    def model_folder(self, name: str) -> Path:
        """The promoted model in a local folder, fetched once a process.

        Raises:
            NotPublished: none is promoted.
        """
        label = self.model_version(name)
        if label not in self._models:
            self._models[label] = self.lake.fetch_folder(self.lake.table(f"promoted/{name}"), self._model_cache / label)
        return self._models[label]

    def artifact_folder(self, key: str) -> Path:
        """A published folder that is not a model (an index), fetched once a process and version."""
        label = f"{key.replace('/', '__')}@{self.version(key)[:12]}"
        if label not in self._models:
            self._models[label] = self.lake.fetch_folder(self.lake.table(key), self._model_cache / label)
        return self._models[label]

    def model(self, name: str) -> Artifact:
        """The promoted model, for workers of an engine.

        Raises:
            NotPublished: none is promoted.
        """
        return self.artifact(f"promoted/{name}", self.model_folder(name))

    def artifact(self, key: str, folder: Path | None = None) -> Artifact:
        """A published folder, for workers of an engine; `folder` is this process's copy, fetched where not given."""
        return Artifact(
            lake=self.lake,
            table=self.lake.table(key),
            version=self.version(key),
            folder=folder or self.artifact_folder(key),
        )

    def engine(self) -> Engine:
        """Where the work inside a run is done, by the settings; started once a process.

        Raises:
            SourcesFileError: settings that cannot be used.
            RayUnreachable: no Ray cluster, or a machine of it that cannot do the work.
        """
        root = self.lake.root
        folder = Path(root.path) if root.is_local else None
        settings = self.settings("engine", EngineSettings)
        if folder is not None and settings.kind == RAY:
            folder.mkdir(parents=True, exist_ok=True)
        return shared_engine(settings, folder=folder if settings.kind == RAY else None)

    def map_rows(
        self, table: Table, function: BatchMap, *, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """What a function of batches makes of a table's rows, in order, its row groups mapped over the engine.

        Args:
            table: published.
            function: importable by name; what it makes of a batch depends on that batch alone.
            columns: that it is given.
        """
        yield from map_rows(table, function, columns=columns, engine=self.engine(), work=self.exchange_folder)

    @contextmanager
    def exchange_folder(self) -> Iterator[Location]:
        """An empty folder that the engine's workers see, gone afterwards."""
        if self.lake.root.is_local or self.settings("engine", EngineSettings).kind != RAY:
            with self.work_folder() as folder:
                yield locate(folder)
            return
        # Beside the tables, under a name that no table has.
        remote = self.lake.root / EXCHANGE_FOLDER / uuid.uuid4().hex
        try:
            yield remote
        finally:
            remote.remove()

    def is_promoted(self, name: str) -> bool:
        """Whether some version of the model is promoted."""
        return self.lake.table(f"promoted/{name}").find_manifest() is not None

    def generation_folder(self, key: str, partition: str) -> Path:
        """Where the answers to a partition's requests are kept: beside the lake's tables, if it is local.

        On an object store it is a folder of this machine, under XDG_CACHE_HOME, so a partition should go on
        where it began, or that folder be on a shared disk.
        """
        root = self.lake.root
        if root.is_local:
            return Path(root.path) / GENERATION_FOLDER / key / partition
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / "mathcode" / digest(root.uri)[:16] / key / partition

    def work_folder(self) -> AbstractContextManager[Path]:
        """An empty local folder that is gone afterwards."""
        return self.lake.work_folder()

    @cached_property
    def _model_cache(self) -> Path:
        return Path(tempfile.mkdtemp(prefix=MODEL_CACHE_PREFIX, dir=process_folder()))


def config_dict(config: Any) -> Mapping[str, Any]:
    """A config dataclass as JSON values, for a recipe."""
    return dataclasses.asdict(config)


def _configured(config: type[ConfigT], given: Mapping[str, Any], *, where: str) -> ConfigT:
    default = config()
    known = {f.name: getattr(default, f.name) for f in dataclasses.fields(config)}  # type: ignore[arg-type]
    values = {}
    for name, value in given.items():
        if name not in known:
            raise SourcesFileError(f"{where}.{name}: unknown; known are {', '.join(sorted(known))}")
        values[name] = _typed(known[name], value, where=f"{where}.{name}")
    try:
        return config(**values)
    except (TypeError, ValueError) as error:
        raise SourcesFileError(f"{where}: {error}") from error


def _typed(default: Any, value: Any, *, where: str) -> Any:
    """A YAML value as its field wants it: nested configs built, lists as tuples, numbers by kind."""
    if dataclasses.is_dataclass(default) and isinstance(value, Mapping):
        return _configured(type(default), value, where=where)
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(value)
    if default is not None and not isinstance(value, type(default) if type(default) is not float else int | float):
        raise SourcesFileError(f"{where}: wants {type(default).__name__}, got {type(value).__name__} {value!r}")
    return value
