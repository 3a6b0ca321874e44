"""The asset checks: what must hold of a published partition, and which failures stop what follows.

Each is a plain function of the workspace, the table and its manifest, so the driver, the UI and the
tests run the same code. A check reads what was published, never what the step believes it wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from mathcode_assets.defs.previews import markdown_cell, markdown_table
from mathcode_assets.defs.table_assets import Outcome, TableCheck
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.records import (
    CONTAMINATED,
    EXACT_DUPLICATE,
    NEAR_DUPLICATE,
    REFUTED,
    UNKNOWN_LICENCE,
    UNVERIFIABLE,
    VERIFIED,
    schema_name,
)
from mathcode_assets.storage.lake import Table
from mathcode_assets.storage.manifest import Manifest, ManifestError
from mathcode_assets.storage.shards import read_batches


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckConfig:
    """Thresholds of the checks; all shares in [0, 1].

    max_contaminated_share: of a shard's documents; above it the whole shard is withheld. 5 % is far
        above what crawls show (the paper finds hundredths of a percent) and far below a leaked set.
    max_quarantined_share: of a shard's records, a warning.
    max_duplicate_share: of a shard's documents, a warning.
    min_licence_known_share: of a shard's documents, a warning.
    max_formula_loss: share of a textbook's characters that have no Unicode meaning, a warning.
    min_model_precision: of a classifier on its held-out labels, a warning.
    min_verified_share: of a shard's computations, a warning: below it the model states results that its own
        programs do not bear out, or writes programs that do not run.
    max_padding_share: of the packed tokens, besides one sequence that is not full; a warning. The reference pads
        13 to 20 %.
    max_unverifiable_share: of the answers to all benchmarks, a warning: they are of a kind that is not compared.
    max_tokens: of the pile; None is no budget. A warning.
    """

    max_contaminated_share: float = 0.05
    max_quarantined_share: float = 0.01
    max_duplicate_share: float = 0.30
    min_licence_known_share: float = 0.50
    max_formula_loss: float = 0.02
    min_model_precision: float = 0.80
    min_verified_share: float = 0.30
    max_padding_share: float = 0.001
    max_unverifiable_share: float = 0.05
    max_tokens: int | None = None


MATCHES_SHOWN = 10
MATCHES_LOOKED_AT = 500

UpstreamRows = Callable[[Workspace, str], int]


def rows_add_up(schema: pa.Schema, upstream: UpstreamRows | None = None) -> TableCheck:
    """Schema and row accounting; `upstream` gives the rows that went in, by the tables they came from."""

    def evaluate(workspace: Workspace, table: Table, manifest: Manifest) -> Outcome:
        try:
            problems = _schema_problems(table, schema, manifest)
        except ManifestError as error:
            problems = [str(error)]
        if upstream is not None and manifest.accounting.n_in != (n := upstream(workspace, table.partition)):
            problems.append(f"{manifest.accounting.n_in} rows counted in, but {n} were published upstream")
        if manifest.accounting.n_kept != manifest.n_rows:
            problems.append(f"{manifest.accounting.n_kept} rows counted as kept, {manifest.n_rows} in the files")
        counts = {"n_in": manifest.accounting.n_in, "n_kept": manifest.accounting.n_kept}
        return Outcome(
            passed=not problems,
            description="; ".join(problems) or "schema as declared; in = kept + dropped + quarantined",
            metadata=counts,
        )

    return TableCheck(
        name="schema_and_accounting",
        description="The files match their manifest and schema, and every row that came in is accounted for.",
        evaluate=evaluate,
        blocking=True,
    )


def rows_of(key: str) -> UpstreamRows:
    """Rows published in the same partition of another table."""
    return lambda workspace, partition: workspace.lake.table(key, partition).manifest().n_rows


def rows_of_all(pairs: Mapping[str, str]) -> UpstreamRows:
    """Rows published in all partitions of several tables, given as table key -> source."""

    def count(workspace: Workspace, partition: str) -> int:
        return sum(table.manifest().n_rows for key, source in pairs.items() for table in workspace.tables(key, source))

    return count


def _schema_problems(table: Table, schema: pa.Schema, manifest: Manifest) -> list[str]:
    problems, n_rows = [], 0
    if manifest.schema != schema_name(schema):
        problems.append(f"published as {manifest.schema}, declared as {schema_name(schema)}")
    batches = (batch for path in table.verified_files() for batch in read_batches(path, columns=schema.names[:1]))
    for batch in batches:
        n_rows += batch.num_rows
        if batch.schema.names != schema.names[:1]:
            problems.append(f"first column is {batch.schema.names}, not {schema.names[:1]}")
            break
    if n_rows != manifest.n_rows:
        problems.append(f"{n_rows} rows in the files, {manifest.n_rows} in the manifest")
    return problems


def _quarantined(workspace: Workspace, table: Table, manifest: Manifest) -> Outcome:
    limit = workspace.settings("checks", CheckConfig).max_quarantined_share
    accounting = manifest.accounting
    share = accounting.n_quarantined / accounting.n_in if accounting.n_in else 0.0
    reasons = ", ".join(f"{reason} {n}" for reason, n in accounting.quarantined.items()) or "none"
    return Outcome(
        passed=share <= limit,
        description=f"{accounting.n_quarantined} of {accounting.n_in} records ({reasons}), limit {limit:.1%}",
        metadata={"share": round(share, 4), "limit": limit},
    )


def contaminated_counts(table: Table) -> tuple[int, int]:
    """Contaminated and all documents of a contamination attributes table."""
    n_contaminated = n_all = 0
    for batch in table.batches(columns=["verdict"]):
        n_all += batch.num_rows
        n_contaminated += pc.sum(pc.equal(batch.column("verdict"), CONTAMINATED)).as_py() or 0
    return n_contaminated, n_all


def contaminated_share_outcome(workspace: Workspace, table: Table, source: str) -> Outcome:
    """Whether the scanned shard may go on: its contaminated share is low, or a person accepted it."""
    limit = workspace.settings("checks", CheckConfig).max_contaminated_share
    n_contaminated, n_all = contaminated_counts(table)
    share = n_contaminated / n_all if n_all else 0.0
    accepted = workspace.accepts_contaminated(source, table.partition)
    passed = share <= limit or accepted
    counts = f"{n_contaminated} of {n_all} documents contaminated ({share:.1%}, limit {limit:.1%})"
    advice = (
        "; accepted in the sources file: they are dropped, the rest is kept"
        if accepted
        else f"; withheld: exclude `{table.partition}` in the sources file, or list it under accept_contaminated"
        if not passed
        else ""
    )
    matches = _worst_matches(table) if n_contaminated else []
    return Outcome(
        passed=passed,
        description=counts + advice,
        metadata={
            "contaminated": n_contaminated,
            "share": round(share, 4),
            "limit": limit,
            "accepted": accepted,
            # The UI shows a table behind a link; one match stands where it is read at once.
            "strongest_match": _in_words(matches),
            "evidence": matches_markdown(matches),
        },
    )


def _worst_matches(table: Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    columns = ["doc_id", "verdict", "benchmark", "question_index", "score", "evidence"]
    for batch in table.batches(columns=columns):
        rows += batch.filter(pc.equal(batch.column("verdict"), CONTAMINATED)).to_pylist()
        if len(rows) >= MATCHES_LOOKED_AT:
            break
    return rows


def _strongest_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (-row["score"], row["doc_id"]))


def _in_words(rows: list[dict[str, Any]]) -> str:
    """The strongest match in one line, `none` where there is none."""
    if not rows:
        return "none"
    row = _strongest_first(rows)[0]
    return f"{row['benchmark']} #{row['question_index']}, score {row['score']:.2f}: {markdown_cell(row['evidence'])}"


def matches_markdown(rows: list[dict[str, Any]]) -> dg.MetadataValue[str]:
    """The strongest contaminated documents as a table a person can check: item, score, span."""
    strongest = _strongest_first(rows)[:MATCHES_SHOWN]
    shown = [
        (row["doc_id"], f"{row['benchmark']} #{row['question_index']}", f"{row['score']:.2f}", row["evidence"])
        for row in strongest
    ]
    return dg.MetadataValue.md(markdown_table(["doc_id", "benchmark item", "score", "span of the document"], shown))


def contaminated_share(source: str) -> TableCheck:
    """The contaminated share of an input shard, blocking."""
    return TableCheck(
        name="contaminated_share",
        description=(
            "The share of this shard's documents that hold a benchmark item. Above the limit the whole shard is "
            "withheld until a person excludes it or accepts it in the sources file."
        ),
        evaluate=lambda workspace, table, manifest: contaminated_share_outcome(workspace, table, source),
        blocking=True,
    )


def _duplicates(workspace: Workspace, table: Table, manifest: Manifest) -> Outcome:
    limit = workspace.settings("checks", CheckConfig).max_duplicate_share
    n_all = manifest.accounting.n_in
    n_duplicates = sum(manifest.accounting.dropped.get(verdict, 0) for verdict in (EXACT_DUPLICATE, NEAR_DUPLICATE))
    share = n_duplicates / n_all if n_all else 0.0
    return Outcome(
        passed=share <= limit,
        description=f"{n_duplicates} of {n_all} documents are copies of others ({share:.1%}, limit {limit:.1%})",
        metadata={"share": round(share, 4), "limit": limit},
    )


def _licences(workspace: Workspace, table: Table, manifest: Manifest) -> Outcome:
    limit = workspace.settings("checks", CheckConfig).min_licence_known_share
    n_known = n_all = 0
    for batch in table.batches(columns=["licence"]):
        n_all += batch.num_rows
        n_known += pc.sum(pc.not_equal(batch.column("licence"), UNKNOWN_LICENCE)).as_py() or 0
    share = n_known / n_all if n_all else 1.0
    return Outcome(
        passed=share >= limit,
        description=f"licence known of {n_known} of {n_all} documents ({share:.1%}, wanted {limit:.1%})",
        metadata={"share": round(share, 4), "limit": limit},
    )


def _formula_loss(workspace: Workspace, table: Table, manifest: Manifest) -> Outcome:
    limit = workspace.settings("checks", CheckConfig).max_formula_loss
    n_lost = n_all = 0
    for batch in table.batches(columns=["text"]):
        texts = batch.column("text")
        n_all += pc.sum(pc.utf8_length(texts)).as_py() or 0
        # Glyphs of fonts without a Unicode map come out as U+FFFD or in the private use area.
        n_lost += pc.sum(pc.count_substring_regex(texts, r"[\x{FFFD}\x{E000}-\x{F8FF}]")).as_py() or 0
    share = n_lost / n_all if n_all else 0.0
    return Outcome(
        passed=share <= limit,
        description=f"{n_lost} of {n_all} characters have no Unicode meaning ({share:.2%}, limit {limit:.2%})",
        metadata={"share": round(share, 4), "limit": limit},
    )


def _verified_share(workspace: Workspace, table: Table, manifest: Manifest) -> Outcome:
    limit = workspace.settings("checks", CheckConfig).min_verified_share
    verdicts = manifest.facts.get("verdict", {})
    counts = {verdict: verdicts.get(verdict, 0) for verdict in (VERIFIED, REFUTED, UNVERIFIABLE)}
    n_all = sum(counts.values())
    share = counts[VERIFIED] / n_all if n_all else 1.0
    shown = ", ".join(f"{verdict} {n}" for verdict, n in counts.items())
    return Outcome(
        passed=share >= limit,
        description=f"{shown}: {share:.1%} of {n_all} computations verified, wanted {limit:.1%}",
        metadata={"share": round(share, 4), "limit": limit, **counts},
    )


def _padding(workspace: Workspace, table: Table, manifest: Manifest) -> Outcome:
    limit = workspace.settings("checks", CheckConfig).max_padding_share
    facts = manifest.facts
    n_all = facts["n_sequences"] * facts["length"]
    # The last sequence is as full as the corpus makes it.
    share = max(0, facts["n_padding"] - facts["length"]) / n_all
    return Outcome(
        passed=share <= limit,
        description=f"{facts['n_padding']:,} of {n_all:,} tokens are padding ({facts['n_padding'] / n_all:.3%})",
        metadata={"share": round(facts["n_padding"] / n_all, 6), "limit": limit},
    )


def _token_budget(workspace: Workspace, table: Table, manifest: Manifest) -> Outcome:
    limit = workspace.settings("checks", CheckConfig).max_tokens
    n_tokens = manifest.n_tokens or 0
    return Outcome(
        passed=n_tokens > 0 and (limit is None or n_tokens <= limit),
        description=f"{n_tokens:,} tokens by {manifest.tokenizer}; budget {'none' if limit is None else f'{limit:,}'}",
        metadata={"tokens": n_tokens},
    )


def _model_precision(workspace: Workspace, table: Table, manifest: Manifest) -> Outcome:
    limit = workspace.settings("checks", CheckConfig).min_model_precision
    precision, recall = manifest.facts.get("precision"), manifest.facts.get("recall")
    n_held_out = manifest.facts.get("held_out", 0)
    if "untrained" in manifest.facts:
        return Outcome(passed=True, description=f"not trained: {manifest.facts['untrained']}")
    if precision is None:
        return Outcome(
            passed=False, description=f"precision unknown: nothing predicted positive in {n_held_out} held out"
        )
    return Outcome(
        passed=precision >= limit,
        description=f"precision {precision:.3f}, wanted {limit:.2f}; recall {recall or 0:.3f}; {n_held_out} held out",
        metadata={"precision": precision, "recall": recall or 0.0, "limit": limit},
    )


QUARANTINED_SHARE = TableCheck(
    name="quarantined_share",
    description="The share of records that could not be read; they are kept under quarantine/ with the reason.",
    evaluate=_quarantined,
)
MODEL_PRECISION = TableCheck(
    name="model_precision",
    description="Precision of the candidate on labelled documents it was not trained on.",
    evaluate=_model_precision,
)
DUPLICATE_SHARE = TableCheck(
    name="duplicate_share",
    description="The share of this shard's documents that are copies of others, here or in another component.",
    evaluate=_duplicates,
)
LICENCE_KNOWN = TableCheck(
    name="licence_known",
    description="The share of documents whose licence the source states.",
    evaluate=_licences,
)
FORMULA_LOSS = TableCheck(
    name="formula_loss",
    description="The share of characters that text extraction could not map to Unicode: glyphs of formulas, mostly.",
    evaluate=_formula_loss,
)
VERIFIED_SHARE = TableCheck(
    name="verified_share",
    description="The share of this shard's computations whose program prints the stated result.",
    evaluate=_verified_share,
)
PADDING = TableCheck(
    name="padding",
    description="The share of the packed sequences that is padding, and so compute for nothing.",
    evaluate=_padding,
)
TOKEN_BUDGET = TableCheck(
    name="token_budget",
    description="The pile is not empty and within the token budget of the sources file.",
    evaluate=_token_budget,
)
