"""clean/*: the filtered documents that are neither copies nor contaminated, with their tokens counted."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from mathcode_assets.decontamination.config import DecontaminationConfig
from mathcode_assets.decontamination.incremental import difference
from mathcode_assets.defs.assets.consolidated import input_versions
from mathcode_assets.defs.assets.contamination import (
    INDEX_KEY,
    contamination_key,
    current_parts,
    scan_with,
    scanned_parts,
)
from mathcode_assets.defs.assets.duplicates import duplicates_key, fingerprints_key
from mathcode_assets.defs.assets.models import TOKENIZER
from mathcode_assets.defs.automation import build_when_settled, check_when
from mathcode_assets.defs.checks import (
    DUPLICATE_SHARE,
    LICENCE_KNOWN,
    contaminated_share_outcome,
    matches_markdown,
    rows_add_up,
    rows_of,
)
from mathcode_assets.defs.components import COMPONENT_TABLES, ComponentTable
from mathcode_assets.defs.partitions import partitions_def
from mathcode_assets.defs.previews import document_preview
from mathcode_assets.defs.resources import WorkspaceResource
from mathcode_assets.defs.table_assets import LakeAsset, Outcome, TableBuild
from mathcode_assets.defs.withdrawal import Withdrawn, withdrawn_of
from mathcode_assets.defs.workspace import Withheld, Workspace
from mathcode_assets.records import (
    CLEAN_DOCUMENT,
    CONTAMINATED,
    EXACT_DUPLICATE,
    NEAR,
    NEAR_DUPLICATE,
)
from mathcode_assets.storage.consolidate import Tally, keep_rows
from mathcode_assets.storage.lake import WHOLE, Table
from mathcode_assets.storage.manifest import Accounting, Recipe
from mathcode_assets.text.tokens import Tokenizer, load_tokenizer

CODE_VERSION = "1"
RESIDUAL_CHECK = "residual_contamination"
_COPIES = frozenset({EXACT_DUPLICATE, NEAR_DUPLICATE})


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanConfig:
    """drop_near: also drop documents that are only near a benchmark item; kept and reported by default."""

    drop_near: bool = False


def _clean(component: ComponentTable) -> Callable[[Workspace, str], TableBuild]:
    def build(workspace: Workspace, partition: str) -> TableBuild:
        """One row is a document that goes into the mixture: kept by its filter, no copy, not contaminated.

        Documents near a benchmark item stay (they are listed in the contamination attributes), unless
        the sources file asks otherwise. What was taken down leaves, and what the licence policy refuses.
        A withheld shard is refused here too, whoever asks for it.
        """
        documents = workspace.lake.table(component.documents, partition)
        duplicates = workspace.lake.table(duplicates_key(component.name), partition)
        contamination = workspace.lake.table(contamination_key(component.name), partition)
        config = workspace.settings("clean", CleanConfig)
        fingerprints = workspace.lake.table(fingerprints_key(component.name), partition)
        withdrawn = withdrawn_of(workspace, documents, fingerprints, duplicates, contamination)
        recipe = Recipe(
            code_version=CODE_VERSION,
            inputs=input_versions(documents, duplicates, contamination),
            config={"drop_near": config.drop_near} | withdrawn.recipe,
            models={TOKENIZER: workspace.model_version(TOKENIZER)},
        )
        if duplicates.manifest().recipe.inputs != input_versions(fingerprints):
            raise Withheld(f"{component.name}[{partition}]: the duplicate verdicts are older than its fingerprints")
        outcome = contaminated_share_outcome(workspace, contamination, component.source)
        if not outcome.passed:
            raise Withheld(f"{component.name}[{partition}]: {outcome.description}")
        return _clean_build(workspace, documents, duplicates, contamination, config, recipe, withdrawn)

    return build


def _clean_build(
    workspace: Workspace,
    documents: Table,
    duplicates: Table,
    contamination: Table,
    config: CleanConfig,
    recipe: Recipe,
    withdrawn: Withdrawn,
) -> TableBuild:
    copies, found = Tally(), Tally()
    tokens: Counter[str] = Counter()
    left: Counter[str] = Counter()
    drop = frozenset({CONTAMINATED, NEAR} if config.drop_near else {CONTAMINATED})

    def batches() -> Iterator[pa.RecordBatch]:
        verdicts = ["doc_id", "verdict"]
        originals = keep_rows(
            documents.batches(), duplicates.batches(columns=verdicts), drop_verdicts=_COPIES, tally=copies
        )
        # The scan's rows of the copies leave too, so that the rest stand beside their documents again.
        scanned = keep_rows(
            contamination.batches(columns=verdicts),
            duplicates.batches(columns=verdicts),
            drop_verdicts=_COPIES,
            tally=Tally(),
        )
        clean = keep_rows(originals, scanned, drop_verdicts=drop, tally=found)
        yield from with_tokens(withdrawn.drop(clean, left), tokenizer_of(workspace), tokens)

    def accounting(n_rows: int) -> Accounting:
        dropped = dict(sorted((copies.dropped + found.dropped + left).items()))
        return Accounting(n_in=copies.n_in, n_kept=n_rows, dropped=dropped)

    return TableBuild(
        recipe=recipe,
        batches=batches,
        accounting=accounting,
        n_tokens=lambda: tokens["n_tokens"],
        tokenizer=recipe.models[TOKENIZER],
        facts=lambda: {"contaminated": found.dropped[CONTAMINATED]},
    )


def tokenizer_of(workspace: Workspace) -> Tokenizer:
    """The promoted tokenizer, loaded once a process."""
    return _loaded_tokenizer(workspace.model_folder(TOKENIZER) / "tokenizer.json")


@lru_cache(maxsize=2)
def _loaded_tokenizer(path: Path) -> Tokenizer:
    return load_tokenizer(path)


def with_tokens(
    documents: Iterator[pa.RecordBatch], tokenizer: Tokenizer, total: Counter[str]
) -> Iterator[pa.RecordBatch]:
    """DOCUMENT batches as CLEAN_DOCUMENT batches; the tokens are added up in `total["n_tokens"]`."""
    for batch in documents:
        counts = tokenizer.count(batch.column("text").to_pylist())
        total["n_tokens"] += int(counts.sum())
        columns = [*batch.columns, pa.array(counts, pa.int32())]
        yield pa.RecordBatch.from_arrays(columns, schema=CLEAN_DOCUMENT)


def residual_outcome(workspace: Workspace, table: Table) -> Outcome:
    """The published documents scanned again with the benchmark index as it is now: none may be contaminated.

    Red as well where the index is newer than the scan that cleaned them, whatever is found: then nobody
    has looked yet at what the new benchmarks leave of the shard.
    """
    version = workspace.version(INDEX_KEY)
    config = workspace.settings("decontamination", DecontaminationConfig)
    n_documents = 0
    worst = []
    columns = ["doc_id", "verdict", "benchmark", "question_index", "score", "evidence"]
    for batch in workspace.map_rows(table, scan_with(workspace, config), columns=["doc_id", "text"]):
        n_documents += batch.num_rows
        worst += batch.filter(pc.equal(batch.column("verdict"), CONTAMINATED)).select(columns).to_pylist()
    behind = scans_behind(workspace, table)
    late = f"; older than the index: {'; '.join(behind[:3])}{' ...' if len(behind) > 3 else ''}" if behind else ""
    return Outcome(
        passed=not worst and not behind,
        description=f"{len(worst)} of {n_documents} documents contaminated by the benchmark index {version[:12]}{late}",
        metadata={"residual": len(worst), "index": version, "evidence": matches_markdown(worst)},
    )


def scans_behind(workspace: Workspace, table: Table) -> list[str]:
    """The scans a clean partition or the pile rests on that did not look for the benchmarks as they are now."""
    parts = current_parts(workspace)
    behind = []
    for written, version in table.manifest().recipe.inputs.items():
        key, _, rest = written.partition("[")
        layer = key.split("/", 1)[0]
        if layer != "clean" and not key.startswith(contamination_key("")):
            continue
        found = workspace.lake.table(key, rest.removesuffix("]"))
        manifest = found.find_manifest()
        if manifest is None or manifest.data_version != version:
            behind.append(f"{written} was made again since")
        elif layer == "clean":
            behind += scans_behind(workspace, found)
        else:
            changed = difference(scanned_parts(found), parts)
            if changed.new or changed.gone:
                behind.append(f"{written} did not look for {', '.join(sorted(changed.new | changed.gone))}")
    return behind


def residual_check(
    key: str, source: str | None, scans: Sequence[str], shards: Sequence[str] = ()
) -> dg.AssetChecksDefinition:
    """The residual scan of a table as a check of its own, so that it can run again when the index changes.

    Args:
        key: of the table.
        source: whose partitions it has; None for none.
        scans: the tables of verdicts it rests on.
        shards: the tables between them and it, where there are any.
    """

    @dg.asset_check(
        asset=dg.AssetKey(key.split("/")),
        name=RESIDUAL_CHECK,
        description=(
            "Scans the published documents again with the current benchmark index. Red if any is contaminated, "
            "and where a benchmark was added after the scan that cleaned them."
        ),
        blocking=True,
        additional_deps=[dg.AssetKey(dep.split("/")) for dep in (INDEX_KEY, *scans)],
        partitions_def=partitions_def(source) if source else None,
        automation_condition=check_when(key, at_once=[INDEX_KEY], once_settled=scans, between=shards),
    )
    def residual_contamination(
        context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource
    ) -> dg.AssetCheckResult:
        opened = workspace.open()
        partition = context.partition_key if source else WHOLE
        outcome = residual_outcome(opened, opened.lake.table(key, partition))
        return dg.AssetCheckResult(
            passed=outcome.passed, description=outcome.description, metadata=dict(outcome.metadata)
        )

    return residual_contamination


ASSETS: list[LakeAsset] = [
    LakeAsset(
        key=f"clean/{component.name}",
        build=_clean(component),
        group=component.group,
        schema=CLEAN_DOCUMENT,
        partitioned_by=component.source,
        deps=[
            component.documents,
            duplicates_key(component.name),
            contamination_key(component.name),
            f"promoted/{TOKENIZER}",
        ],
        checks=[rows_add_up(CLEAN_DOCUMENT, rows_of(component.documents)), DUPLICATE_SHARE, LICENCE_KNOWN],
        separate_checks=[RESIDUAL_CHECK],
        kinds=frozenset({"parquet"}),
        automation=build_when_settled(fingerprints_key(component.name)),
        preview=document_preview,
    )
    for component in COMPONENT_TABLES
]

CHECKS = [
    residual_check(f"clean/{component.name}", component.source, [contamination_key(component.name)])
    for component in COMPONENT_TABLES
]
