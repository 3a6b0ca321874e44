"""From a plain function to a Dagster asset: how every table and folder of the lake is published.

    @table_asset("filtered/open_web_math", schema=DOCUMENT, partitioned_by="open_web_math", deps=[...])
    def filtered_open_web_math(workspace, partition) -> TableBuild: ...

The function only states the recipe (cheap) and hands over lazy batches. If the lake holds a
partition of the same recipe, nothing is computed and Dagster is told the same data version.
"""

import inspect
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa

from mathcode_assets.defs.partitions import partitions_def
from mathcode_assets.defs.recorded import is_on_record
from mathcode_assets.defs.resources import WorkspaceResource
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.records import CLEAN, FIELD_DOC_KEY, KEPT, NEAR, QUARANTINE
from mathcode_assets.storage.full_disk import explained
from mathcode_assets.storage.lake import WHOLE, Table
from mathcode_assets.storage.manifest import Accounting, Manifest, Recipe

OWNER = "team:corpus"
DATA_VERSION_TAG = "dagster/data_version"
# Steps that share something scarce, by how their keys begin. Without limits (a laptop) the names mean nothing;
# a deployment sets them (infra/dagster).
POOLS = {
    "raw/": "s3",
    "computations/": "sandbox",
    "checkpoint/": "gpu",
    "scores/evaluation": "gpu",
    "ablation/runs": "gpu",
}
# Verdicts of attributes tables whose documents stay in.
GOING_ON = (KEPT, CLEAN, NEAR)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableBuild:
    """How to make one partition of a table; nothing runs before `batches` is called.

    accounting, n_tokens, facts and quarantine are called once the batches were consumed; the
    quarantined records are published beside the table, before it.
    run_facts: what holds of this run and not of the table (requests sent, seconds): told to Dagster, not
        published, so that the same inputs give the same bytes.
    """

    recipe: Recipe
    batches: Callable[[], Iterable[pa.RecordBatch]]
    accounting: Callable[[int], Accounting] = lambda n_rows: Accounting(n_in=n_rows, n_kept=n_rows)
    n_tokens: Callable[[], int] | None = None
    tokenizer: str | None = None
    facts: Callable[[], Mapping[str, Any]] | None = None
    run_facts: Callable[[], Mapping[str, Any]] | None = None
    quarantine: Callable[[], Iterable[pa.RecordBatch]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderBuild:
    """How to make an artifact: `make(folder)` fills an empty local folder and returns counts and facts.

    published: tables that `make` published besides, appended as it goes; Dagster is told of each.
    expected: tables it will have published; where one is gone, the artifact is not current.
    run_facts: see `TableBuild`; called once `make` has returned.
    """

    recipe: Recipe
    make: Callable[[Path], tuple[Accounting, Mapping[str, Any]]]
    run_facts: Callable[[], Mapping[str, Any]] | None = None
    published: list[Table] = field(default_factory=list)
    expected: Sequence[Table] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a check found. `metadata` is shown in the UI."""

    passed: bool
    description: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCheck:
    """A check that runs in the asset's own step, on what was published.

    blocking: a failure is an error and stops what follows; else it is a warning.
    """

    name: str
    description: str
    evaluate: Callable[[Workspace, Table, Manifest], Outcome]
    blocking: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What materializing a partition came to.

    manifest: of the partition; reused: it was current, and nothing was computed.
    others: tables that were published with it, now or when it was made; run_facts: see `TableBuild`.
    """

    manifest: Manifest
    reused: bool = False
    others: Sequence[Table] = ()
    run_facts: Mapping[str, Any] = field(default_factory=dict)


Build = TableBuild | FolderBuild
Preview = Callable[[Workspace, Table], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeAsset:
    """A node of the graph: a table or an artifact of the lake, and how it is made."""

    key: str
    build: Callable[[Workspace, str], Build]
    group: str
    schema: pa.Schema | None = None
    partitioned_by: str | None = None
    deps: Sequence[str] = ()
    whole_deps: Sequence[str] = ()  # of the deps, those of other partitions, of which any partition may be read
    checks: Sequence[TableCheck] = ()
    kinds: frozenset[str] = frozenset()
    automation: dg.AutomationCondition[Any] | None = None
    freshness: dg.FreshnessPolicy | None = None
    preview: Preview | None = None
    publishes: Sequence[str] = ()  # keys of other tables that its step publishes
    separate_checks: Sequence[str] = ()  # blocking checks that are Dagster ops of their own
    is_wanted: Callable[[Workspace], bool] = lambda workspace: True  # whether the settings ask for it; for the driver
    # Whether its partitions are made one after another whatever the engine, as they share a model or a GPU.
    is_alone: Callable[[Workspace], bool] = lambda workspace: False

    @property
    def asset_key(self) -> dg.AssetKey:
        """The key as Dagster writes it."""
        return dg.AssetKey(self.key.split("/"))

    def publish(self, workspace: Workspace, partition: str) -> Published:
        """Make the partition, or find that it is current."""
        table = workspace.lake.table(self.key, partition)
        build = self.build(workspace, partition)
        if _is_current(workspace, table, build) and table.is_intact():
            return Published(manifest=table.manifest(), reused=True, others=_expected(build))
        with explained(table.location, f"{self.key}[{partition}]"):
            return self._make(workspace, table, build)

    def _make(self, workspace: Workspace, table: Table, build: Build) -> Published:
        """Make the partition and publish it."""
        if isinstance(build, FolderBuild):
            with workspace.work_folder() as folder:
                accounting, facts = build.make(folder)
                manifest = workspace.lake.publish_folder(
                    table, folder=folder, recipe=build.recipe, accounting=accounting, facts=facts
                )
            return Published(manifest=manifest, others=build.published, run_facts=_run_facts(build))
        assert self.schema is not None, f"{self.key} builds a table, but names no schema"
        manifest = workspace.lake.publish(
            table,
            schema=self.schema,
            recipe=build.recipe,
            batches=build.batches(),
            accounting=lambda n_rows: self._account(workspace, table.partition, build, n_rows),
            n_tokens=build.n_tokens,
            tokenizer=build.tokenizer,
            facts=build.facts,
        )
        return Published(manifest=manifest, run_facts=_run_facts(build))

    def _account(self, workspace: Workspace, partition: str, build: TableBuild, n_rows: int) -> Accounting:
        """Publish what was quarantined before the table that counts it, then count."""
        if build.quarantine is not None:
            workspace.lake.publish(
                workspace.lake.table(quarantine_key(self.key), partition),
                schema=QUARANTINE,
                recipe=build.recipe,
                batches=build.quarantine(),
                accounting=lambda n: Accounting(n_in=n, n_kept=n),
            )
        return build.accounting(n_rows)

    def is_current(self, workspace: Workspace, partition: str) -> bool:
        """Whether materializing the partition would change nothing."""
        table = workspace.lake.table(self.key, partition)
        return _is_current(workspace, table, self.build(workspace, partition))

    def published_besides(self, workspace: Workspace, partition: str) -> Sequence[Table]:
        """The tables that its step publishes besides its own."""
        return _expected(self.build(workspace, partition)) if self.publishes else ()

    def _dep(self, key: str) -> dg.AssetDep:
        # Dagster's default is that partitions of the same name belong together.
        mapping = dg.AllPartitionMapping() if key in self.whole_deps else None
        return dg.AssetDep(dg.AssetKey(key.split("/")), partition_mapping=mapping)

    def definition(self) -> dg.AssetsDefinition:
        """The Dagster asset."""
        partitions = partitions_def(self.partitioned_by) if self.partitioned_by else None

        @dg.asset(
            key=self.asset_key,
            deps=[self._dep(dep) for dep in self.deps],
            partitions_def=partitions,
            group_name=self.group,
            description=inspect.getdoc(self.build),
            kinds={layer_of(self.key), *self.kinds},
            owners=[OWNER],
            metadata={**_code_reference(self.build), **_columns(self.schema), "table": self.key},
            automation_condition=self.automation,
            freshness_policy=self.freshness,
            code_version=None,
            pool=next((pool for start, pool in POOLS.items() if self.key.startswith(start)), None),
            check_specs=[
                dg.AssetCheckSpec(
                    check.name,
                    asset=self.asset_key,
                    description=check.description,
                    blocking=check.blocking,
                    partitions_def=partitions,
                )
                for check in self.checks
            ],
        )
        # No return annotation: with check outputs Dagster wants a tuple there, and gets a result object.
        def materialize(context: dg.AssetExecutionContext, workspace: WorkspaceResource):  # type: ignore[no-untyped-def]
            opened = workspace.open()
            partition = context.partition_key if context.has_partition_key else WHOLE
            started = time.perf_counter()
            published = self.publish(opened, partition)
            manifest = published.manifest
            seconds = time.perf_counter() - started
            table = opened.lake.table(self.key, partition)
            for other in published.others:
                # Those of a step that was killed before it had told of all.
                if not published.reused or not is_on_record(context.instance, other):
                    context.log_event(materialization_of(other))
            return dg.MaterializeResult(
                data_version=dg.DataVersion(manifest.data_version),
                # Previews first: what a person opens the page for stands above the fold.
                metadata={
                    **(self.preview(opened, table) if self.preview else {}),
                    **manifest_metadata(manifest, reused=published.reused, seconds=seconds),
                    **{key: _shown(value) for key, value in published.run_facts.items()},
                },
                check_results=[check_result(check, check.evaluate(opened, table, manifest)) for check in self.checks],
            )

        return materialize


def layer_of(key: str) -> str:
    """What stands before the name in a key, as a kind: nodes of Dagster's graph show a key's last part alone."""
    return key.split("/")[-2]


def quarantine_key(key: str) -> str:
    """Where the records that `raw/<source>` could not read are kept: `quarantine/<source>`."""
    return "quarantine/" + key.split("/", 1)[1]


def table_asset(key: str, **options: Any) -> Callable[[Callable[[Workspace, str], Build]], LakeAsset]:
    """Decorator: a build function becomes a LakeAsset. The docstring is the description in the UI."""

    def decorate(build: Callable[[Workspace, str], Build]) -> LakeAsset:
        return LakeAsset(key=key, build=build, **options)

    return decorate


def check_result(check: TableCheck, outcome: Outcome) -> dg.AssetCheckResult:
    """An outcome as Dagster records it: blocking checks fail as errors, others as warnings."""
    return dg.AssetCheckResult(
        check_name=check.name,
        passed=outcome.passed,
        severity=dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN,
        description=outcome.description,
        metadata=dict(outcome.metadata),
    )


def manifest_metadata(manifest: Manifest, *, reused: bool, seconds: float) -> dict[str, Any]:
    """The metadata every asset reports, under keys that stay, so that the UI can plot them over time."""
    accounting = manifest.accounting
    metadata: dict[str, Any] = {
        "documents": manifest.n_rows,
        "dagster/row_count": manifest.n_rows,
        "kept_share": round(_kept_share(manifest), 4),
        "dropped": dg.MetadataValue.json(dict(accounting.dropped)),
        "quarantined": accounting.n_quarantined,
        "size_bytes": manifest.size_bytes,
        "seconds": round(seconds, 3),
        "reused": reused,
        "data_version": manifest.data_version,
        "models": dg.MetadataValue.json(dict(manifest.recipe.models)),
    }
    if manifest.n_tokens is not None:
        metadata |= {"tokens": manifest.n_tokens, "tokenizer": manifest.tokenizer}
    return metadata | {key: _shown(value) for key, value in manifest.facts.items()}


def _run_facts(build: Build) -> Mapping[str, Any]:
    return build.run_facts() if build.run_facts else {}


def _is_current(workspace: Workspace, table: Table, build: Build) -> bool:
    """Published by the same recipe, with everything that its step publishes besides."""
    return workspace.lake.is_current(table, build.recipe) and all(other.find_manifest() for other in _expected(build))


def _expected(build: Build) -> Sequence[Table]:
    return build.expected if isinstance(build, FolderBuild) else ()


def materialization_of(table: Table) -> dg.AssetMaterialization:
    """The event of a published table that its own step does not report."""
    manifest = table.manifest()
    return dg.AssetMaterialization(
        asset_key=dg.AssetKey(table.key.split("/")),
        partition=None if table.partition == WHOLE else table.partition,
        metadata=manifest_metadata(manifest, reused=False, seconds=0.0),
        tags={DATA_VERSION_TAG: manifest.data_version},
    )


def counted(
    batches: Iterable[pa.RecordBatch], columns: Sequence[str], counts: dict[str, dict[str, int]]
) -> Iterator[pa.RecordBatch]:
    """The same batches; the values of the columns are counted into `counts` as they flow by."""
    for batch in batches:
        for name in columns:
            tally = counts.setdefault(name, {})
            for entry in batch.column(name).value_counts().to_pylist():
                value = str(entry["values"])
                tally[value] = tally.get(value, 0) + entry["counts"]
        yield batch


def _kept_share(manifest: Manifest) -> float:
    """Share of the rows in that go on, [0, 1]: by their verdicts in attributes tables, which drop no row themselves."""
    verdicts = manifest.facts.get("verdict")
    if verdicts:
        return sum(verdicts.get(verdict, 0) for verdict in GOING_ON) / sum(verdicts.values())
    accounting = manifest.accounting
    return accounting.n_kept / accounting.n_in if accounting.n_in else 1.0


def _columns(schema: pa.Schema | None) -> dict[str, Any]:
    """The columns of a table with what each means, as the UI lists them."""
    if schema is None:
        return {}
    columns = [
        dg.TableColumn(
            name=column.name,
            type=str(column.type),
            description=(column.metadata or {}).get(FIELD_DOC_KEY, b"").decode(),
            constraints=dg.TableColumnConstraints(nullable=column.nullable),
        )
        for column in schema
    ]
    return {"dagster/column_schema": dg.TableSchema(columns=columns)}


def _shown(value: Any) -> Any:
    return dg.MetadataValue.json(value) if isinstance(value, dict | list) else value


def _code_reference(function: Callable[..., Any]) -> dict[str, Any]:
    source = inspect.getsourcefile(function)
    if source is None:
        return {}
    line = function.__code__.co_firstlineno
    reference = dg.LocalFileCodeReference(file_path=source, line_number=line)
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[reference])}
