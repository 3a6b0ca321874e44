"""report/contamination: what the scans found, beside what the paper's own rule finds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from mathcode_assets.decontamination.config import DecontaminationConfig
from mathcode_assets.decontamination.index import BenchmarkIndex
from mathcode_assets.decontamination.ngram_overlap import MAX_N, MIN_N, ngram_overlap
from mathcode_assets.decontamination.paper_rule import PaperRule, prepare, scan_by_paper_rule
from mathcode_assets.decontamination.report import Findings, ReportConfig, render_report
from mathcode_assets.decontamination.scan import scan_documents
from mathcode_assets.defs.affected import Affected, affected
from mathcode_assets.defs.assets.consolidated import input_versions
from mathcode_assets.defs.assets.contamination import INDEX_KEY, contamination_key, current_index
from mathcode_assets.defs.components import COMPONENT_TABLES, LISTING_KEY
from mathcode_assets.defs.previews import markdown_table
from mathcode_assets.defs.table_assets import FolderBuild, LakeAsset, table_asset
from mathcode_assets.defs.workspace import Workspace, config_dict
from mathcode_assets.records import CONTAMINATED, NEAR, iter_column
from mathcode_assets.storage.lake import Table
from mathcode_assets.storage.manifest import Accounting, Recipe

CODE_VERSION = "1"
REPORT_KEY = "report/contamination"
REPORT_FILE, OVERLAP_FILE = "report.md", "ngram_overlap.parquet"
AFFECTED_SHOWN = 50
# Whatever the checks say: a leaky shard is what the report is for.
_AC = dg.AutomationCondition
BUILD_ANYWAY = _AC.eager().replace("newly_updated", _AC.data_version_changed()).with_label("an input's data changed")


def _scans(workspace: Workspace) -> dict[str, list[tuple[Table, Table]]]:
    """Documents and their scans by component table, of the shards that are there."""
    found: dict[str, list[tuple[Table, Table]]] = {}
    for component in COMPONENT_TABLES:
        for scan in workspace.tables(contamination_key(component.name), component.source):
            documents = workspace.lake.table(component.documents, scan.partition)
            if scan.find_manifest() is not None and documents.find_manifest() is not None:
                found.setdefault(component.name, []).append((documents, scan))
    return found


def _preview(workspace: Workspace, table: Table) -> Mapping[str, Any]:
    """The report, and what the benchmarks touch as of now, which depends on the checkpoints there are."""
    text = (workspace.artifact_folder(REPORT_KEY) / REPORT_FILE).read_text(encoding="utf-8")
    return {"report": dg.MetadataValue.md(text), **affected_metadata(affected(workspace))}


def affected_metadata(found: Affected) -> dict[str, Any]:
    """Documents, shards and checkpoints that hold items, as metadata."""
    documents = [(d.doc_id, d.shard, ", ".join(d.items)) for d in found.documents[:AFFECTED_SHOWN]]
    checkpoints = [
        (c.checkpoint, len(c.documents), len(c.possible), ", ".join(c.shards)) for c in found.checkpoints
    ]  # fmt: skip
    return {
        "affected_documents": dg.MetadataValue.md(markdown_table(["document", "shard", "items"], documents)),
        "affected_shards": dg.MetadataValue.json(dict(found.shards)),
        "affected_checkpoints": dg.MetadataValue.md(
            markdown_table(["checkpoint", "documents it was trained on", "possibly", "shards"], checkpoints)
        ),
        "n_affected_documents": len(found.documents),
        "n_affected_checkpoints": len(found.checkpoints),
    }


@table_asset(
    REPORT_KEY,
    group="decontamination",
    deps=[INDEX_KEY, LISTING_KEY, *(contamination_key(component.name) for component in COMPONENT_TABLES)],
    kinds=frozenset({"numba"}),
    automation=BUILD_ANYWAY,
    preview=_preview,
)
def contamination_report(workspace: Workspace, partition: str) -> FolderBuild:
    """Contaminated and near documents, the worst matches with both sides, n = 3..13 overlaps (paper §2, Appendix F).

    Beside them stands what the paper's own rule finds in the same sample. The metadata
    names the documents, shards and checkpoints that hold benchmark items.
    """
    settings = workspace.settings("contamination_report", ReportConfig)
    scans = _scans(workspace)
    tables = [table for pairs in scans.values() for pair in pairs for table in pair]

    def make(folder: Path) -> tuple[Accounting, Mapping[str, Any]]:
        index, _ = current_index(workspace)
        findings = Findings(limit=settings.worst)
        for name, pairs in scans.items():
            for _, scan in pairs:
                for batch in scan.batches(columns=["doc_id", "verdict", "benchmark", "matches"]):
                    findings.add(name, batch)
        samples = {name: [documents for documents, _ in pairs] for name, pairs in scans.items()}
        rule, config = prepare(index), workspace.settings("decontamination", DecontaminationConfig)
        sample = {name: _counted(found, settings, index, rule, config) for name, found in samples.items()}
        overlap = pa.Table.from_batches(
            [ngram_overlap({name: _sample(found, settings) for name, found in samples.items()}, index)]
        )
        pq.write_table(overlap, folder / OVERLAP_FILE, compression="zstd")
        text = render_report(findings, index.items, index.hygiene, overlap, sample)
        (folder / REPORT_FILE).write_text(text, encoding="utf-8")
        n_documents = sum(sum(counts.values()) for counts in findings.verdicts.values())
        return Accounting(n_in=n_documents, n_kept=n_documents), _facts(findings, overlap, sample)

    recipe = Recipe(
        code_version=CODE_VERSION,
        inputs=input_versions(workspace.lake.table(INDEX_KEY), *tables),
        config=config_dict(settings),
    )
    return FolderBuild(recipe=recipe, make=make)


def _sample(tables: list[Table], settings: ReportConfig) -> Iterator[pa.RecordBatch]:
    """The head of every shard, so many bytes in all."""
    budget = settings.sample_megabytes * 1e6 / max(1, len(tables))
    for table in tables:
        read = 0
        for batch in table.batches(columns=["doc_id", "text"]):
            if read >= budget:
                break
            read += batch.nbytes
            yield batch


def _counted(
    tables: list[Table], settings: ReportConfig, index: BenchmarkIndex, rule: PaperRule, config: DecontaminationConfig
) -> dict[str, int]:
    """Contaminated documents of the sample by the paper's rule and by ours."""
    by_rule = list(iter_column(scan_by_paper_rule(_sample(tables, settings), rule), "verdict"))
    ours = list(iter_column(scan_documents(_sample(tables, settings), index, config), "verdict"))
    return {
        "documents": len(ours), "paper_rule": by_rule.count(CONTAMINATED), "containment": ours.count(CONTAMINATED),
    }  # fmt: skip


def _facts(findings: Findings, overlap: pa.Table, sample: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Numbers under keys that stay: the UI plots them over time."""
    highest = {n: 0.0 for n in (MIN_N, MAX_N)}
    for row in overlap.select(["n", "overlap"]).to_pylist():
        if row["n"] in highest:
            highest[row["n"]] = max(highest[row["n"]], row["overlap"])
    return {
        "contaminated": findings.total(CONTAMINATED),
        "near": findings.total(NEAR),
        "leaked_items": len(findings.leaked),
        "sample_by_paper_rule": sum(counts["paper_rule"] for counts in sample.values()),
        "sample_by_containment": sum(counts["containment"] for counts in sample.values()),
        "highest_overlap_3": round(highest[MIN_N], 6),
        "highest_overlap_13": round(highest[MAX_N], 6),
        "contaminated_by_component": {name: counts[CONTAMINATED] for name, counts in findings.verdicts.items()},
        "near_by_component": {name: counts[NEAR] for name, counts in findings.verdicts.items()},
    }


ASSETS: list[LakeAsset] = [contamination_report]
