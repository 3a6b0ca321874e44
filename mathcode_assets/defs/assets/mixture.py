"""The mixture: MathCode-Pile itself, its data card, and the pile as a data set for a hub."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import fsspec
import pyarrow as pa

from mathcode_assets import __version__
from mathcode_assets.defs.assets.clean import RESIDUAL_CHECK, residual_check
from mathcode_assets.defs.assets.consolidated import input_versions
from mathcode_assets.defs.assets.contamination import contamination_key
from mathcode_assets.defs.assets.duplicates import INDEXES
from mathcode_assets.defs.assets.models import TOKENIZER
from mathcode_assets.defs.assets.translated import completions_key, computations_key
from mathcode_assets.defs.automation import BUILD_WHEN_CHANGED, build_when_settled
from mathcode_assets.defs.checks import (
    LICENCE_KNOWN,
    TOKEN_BUDGET,
    contaminated_share_outcome,
    rows_add_up,
    rows_of_all,
)
from mathcode_assets.defs.components import COMPONENT_TABLES, PILE_COMPONENTS, TRANSLATED_TABLES
from mathcode_assets.defs.previews import document_preview
from mathcode_assets.defs.table_assets import FolderBuild, LakeAsset, TableBuild, table_asset
from mathcode_assets.defs.withdrawal import is_behind
from mathcode_assets.defs.withdrawal_checks import LICENCE_POLICY, NOT_TAKEN_DOWN
from mathcode_assets.defs.workspace import Withheld, Workspace
from mathcode_assets.mixture.data_card import (
    ComponentCount,
    DataCard,
    SourceLine,
    component_counts,
    render_data_card,
    render_token_table,
)
from mathcode_assets.mixture.export import export_hub_dataset
from mathcode_assets.mixture.pile import PileTally, fit_caps, mix, tokens_by_draw
from mathcode_assets.mixture.plan import ComponentMixture, MixtureConfig, MixturePlan, plan_mixture
from mathcode_assets.records import PILE_DOCUMENT
from mathcode_assets.storage.lake import Table
from mathcode_assets.storage.manifest import Accounting, Manifest, Recipe

CODE_VERSION = "1"
GROUP = "mixture"
PILE_KEY = "mixture/mathcode_pile"
CARD_KEY = "mixture/data_card"
EXPORT_KEY = "mixture/hub_dataset"
# Common Crawl appears about monthly: a pile that was not made again for longer has missed a release, or whatever
# observes the sources has stopped. Making it again only reads it where nothing changed.
PILE_FRESH_DAYS = 35
CLEAN_SOURCES = {f"clean/{component.name}": component.source for component in COMPONENT_TABLES}


def mixture_config(workspace: Workspace) -> MixtureConfig:
    """The mixture of the sources file: `settings: {mixture: {seed, components: {code: {max_share: 0.2}}}}`.

    Raises:
        TypeError: an unknown name.
    """
    given = dict(workspace.sources.settings.get("mixture", {}))
    components = {name: ComponentMixture(**values) for name, values in dict(given.pop("components", {})).items()}
    return MixtureConfig(components=components, **given)


def clean_tables(workspace: Workspace) -> dict[str, list[Table]]:
    """Every clean partition by component of the pile, in order.

    Raises:
        Withheld: a partition is missing, was made from other data than is there now, or its shard is
            contaminated above the limit. Names every such partition.
    """
    problems: list[str] = []
    tables: dict[str, list[Table]] = {name: [] for name in PILE_COMPONENTS}
    for component in COMPONENT_TABLES:
        for partition in sorted(workspace.partitions(component.source)):
            table = workspace.lake.table(f"clean/{component.name}", partition)
            problem = _problem(workspace, component.name, component.source, partition)
            if problem:
                problems.append(f"{table.key}[{partition}]: {problem}")
            tables[component.component].append(table)
    if problems:
        raise Withheld("the pile is not built: " + "; ".join(problems))
    return tables


def _problem(workspace: Workspace, name: str, source: str, partition: str) -> str:
    """Why a clean partition may not go into the pile; empty if it may."""
    contamination = workspace.lake.table(contamination_key(name), partition)
    if contamination.find_manifest() is not None:
        outcome = contaminated_share_outcome(workspace, contamination, source)
        if not outcome.passed:
            return outcome.description
    manifest = workspace.lake.table(f"clean/{name}", partition).find_manifest()
    if manifest is None:
        return "not made yet"
    for written, version in manifest.recipe.inputs.items():
        key = written.split("[", 1)[0]
        if workspace.version(key, partition) != version:
            return f"made from an older {key}"
    if is_behind(workspace, name, partition):
        return "made before the take-downs or the licence policy that hold now"
    return ""


def _pile_rows(workspace: Workspace, partition: str) -> int:
    """Rows that should have come in: the clean documents, and the copies that weights ask for."""
    facts = workspace.lake.table(PILE_KEY).manifest().facts["components"]
    if all(component["weight"] <= 1 for component in facts.values()):
        return rows_of_all(CLEAN_SOURCES)(workspace, partition)
    return workspace.lake.table(PILE_KEY).manifest().accounting.n_in


@table_asset(
    PILE_KEY,
    group=GROUP,
    schema=PILE_DOCUMENT,
    deps=[*INDEXES, *CLEAN_SOURCES],
    checks=[rows_add_up(PILE_DOCUMENT, _pile_rows), LICENCE_POLICY, NOT_TAKEN_DOWN, LICENCE_KNOWN, TOKEN_BUDGET],
    kinds=frozenset({"parquet"}),
    automation=build_when_settled(),
    freshness=dg.FreshnessPolicy.time_window(fail_window=timedelta(days=PILE_FRESH_DAYS)),
    preview=document_preview,
    separate_checks=[RESIDUAL_CHECK],
)
def mathcode_pile(workspace: Workspace, partition: str) -> TableBuild:
    """One row is a document of MathCode-Pile (paper Table 1), with source, licence and token count.

    Components are weighted and capped as the sources file says; by default every document is taken
    once, as in the paper.
    """
    config = mixture_config(workspace)
    tables = clean_tables(workspace)
    all_tables = [table for group in tables.values() for table in group]
    totals = {name: sum(table.manifest().n_tokens or 0 for table in group) for name, group in tables.items()}
    plan = plan_mixture(totals, config)
    tally = PileTally()
    mixed_by: list[MixturePlan] = []

    def batches() -> Iterator[pa.RecordBatch]:
        mixed_by.append(_fitted(plan, tables))
        yield from mix({name: _rows(group) for name, group in tables.items()}, mixed_by[0], tally)

    def accounting(n_rows: int) -> Accounting:
        counts = tally.components.values()
        dropped: Counter[str] = Counter()
        for count in counts:
            dropped.update(count.dropped)
        # Copies that a weight above 1 asks for are rows that came in more than once.
        copies = sum(count.rows - count.documents_kept for count in counts)
        return Accounting(
            n_in=sum(count.documents_in for count in counts) + copies,
            n_kept=n_rows,
            dropped={reason: n for reason, n in sorted(dropped.items()) if n},
        )

    return TableBuild(
        recipe=Recipe(
            code_version=CODE_VERSION,
            inputs=input_versions(*all_tables),
            config=_plan_config(plan),
            models={TOKENIZER: workspace.model_version(TOKENIZER)},
        ),
        batches=batches,
        accounting=accounting,
        n_tokens=lambda: sum(count.tokens for count in tally.components.values()),
        tokenizer=workspace.model_version(TOKENIZER),
        facts=lambda: {
            "components": _component_facts(tally, mixed_by[0]),
            "licences": dict(sorted(tally.licences.items())),
        },
    )


def _rows(tables: list[Table], columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    for table in tables:
        yield from table.batches(columns=columns)


def _fitted(plan: MixturePlan, tables: Mapping[str, list[Table]]) -> MixturePlan:
    """The plan with capped components at or below their caps for the documents there are."""
    capped = [name for name, component in plan.components.items() if component.capped_by]
    draws = {name: tokens_by_draw(_rows(tables[name], ["doc_id", "n_tokens"]), plan.seed) for name in capped}
    return fit_caps(plan, draws)


def _plan_config(plan: MixturePlan) -> dict[str, Any]:
    weights = {name: component.weight for name, component in plan.components.items()}
    asked = {name: component.asked_weight for name, component in plan.components.items()}
    return {"seed": plan.seed, "weights": weights, "asked_weights": asked}


def _component_facts(tally: PileTally, plan: MixturePlan) -> dict[str, Any]:
    return {
        count.name: {
            "documents": count.documents,
            "tokens": count.tokens,
            "size_bytes": count.size_bytes,
            "weight": count.weight,
        }
        for count in component_counts(tally, plan)
    }


def published_counts(workspace: Workspace, pile: Manifest) -> list[ComponentCount]:
    """The components of the published pile, with what was left out on the way by reason."""
    counts = []
    for name in PILE_COMPONENTS:
        facts = pile.facts["components"][name]
        counts.append(ComponentCount(name=name, dropped=dropped_on_the_way(workspace, name), **facts))
    return counts


def dropped_on_the_way(workspace: Workspace, component: str) -> dict[str, int]:
    """Documents of a component left out by any stage, by reason; quarantined records too."""
    dropped: Counter[str] = Counter()
    for table in COMPONENT_TABLES:
        if table.component != component:
            continue
        keys = [table.documents, f"clean/{table.name}"]
        if not table.translated_from:
            keys.insert(0, f"raw/{table.source}")
        if table.name == "cc_en_math":
            keys.insert(1, "filtered/cc_en_math_round1")
        for key in keys:
            for part in workspace.tables(key, table.source):
                manifest = part.find_manifest()
                if manifest is not None:
                    dropped.update(manifest.accounting.dropped)
                    dropped.update({f"quarantined_{k}": n for k, n in manifest.accounting.quarantined.items()})
    return dict(sorted(dropped.items()))


def data_card(workspace: Workspace) -> DataCard:
    """The card of the published pile.

    Raises:
        NotPublished: there is no pile.
    """
    pile = workspace.lake.table(PILE_KEY).manifest()
    sources = []
    for name, spec in workspace.sources.sources.items():
        partitions = workspace.partitions(name)
        files = [file for partition in partitions.values() for file in partition.files]
        revisions = sorted({file.revision for file in files})
        revision = revisions[0] if len(revisions) == 1 else f"{len(revisions)} files by content"
        sources.append(
            SourceLine(name=name, uri=", ".join(spec.written_uris or spec.uris), revision=revision, n_files=len(files))
        )
    return DataCard(
        components=published_counts(workspace, pile),
        tokenizer=pile.tokenizer or "",
        licences=pile.facts["licences"],
        sources=sources,
        corpus_hash=pile.data_version,
        code_version=__version__,
        notes=[_translation_note(workspace)],
    )


def _translation_note(workspace: Workspace) -> str:
    """Who translated, and how many of the computations hold."""
    verdicts: Counter[str] = Counter()
    generators: set[str] = set()
    for table in TRANSLATED_TABLES:
        for part in workspace.tables(computations_key(table.translated_from), table.source):
            verdicts.update(part.manifest().facts.get("verdict", {}))
        for part in workspace.tables(completions_key(table.translated_from), table.source):
            generators.update(part.manifest().recipe.models.values())
    counts = ", ".join(f"{n:,} {verdict}" for verdict, n in sorted(verdicts.items())) or "none"
    return (
        f"Translated mathematical code by {', '.join(sorted(generators)) or 'nobody'}; computations: {counts}. "
        "Only verified ones are in the pile: the program was run in isolation, and what it printed was compared "
        "with the stated result as mathematics."
    )


def _card_preview(workspace: Workspace, table: Table) -> Mapping[str, Any]:
    pile = workspace.lake.table(PILE_KEY).manifest()
    rendered = render_token_table(published_counts(workspace, pile), tokenizer=pile.tokenizer or "")
    return {"token_table": dg.MetadataValue.md(rendered)}


@table_asset(
    CARD_KEY,
    group=GROUP,
    deps=[PILE_KEY],
    kinds=frozenset({"markdown"}),
    preview=_card_preview,
    automation=BUILD_WHEN_CHANGED,
)
def data_card_asset(workspace: Workspace, partition: str) -> FolderBuild:
    """README.md of the data set: the token table beside the paper's, licences, drops by reason, sources."""
    card = data_card(workspace)
    rendered = render_data_card(card)

    def make(folder: Path) -> tuple[Accounting, Mapping[str, Any]]:
        (folder / "README.md").write_text(rendered, encoding="utf-8")
        return Accounting(n_in=0, n_kept=0), {"characters": len(rendered)}

    inputs = input_versions(workspace.lake.table(PILE_KEY))
    return FolderBuild(recipe=Recipe(code_version=CODE_VERSION, inputs=inputs, config={"card": rendered}), make=make)


@table_asset(EXPORT_KEY, group=GROUP, deps=[PILE_KEY, CARD_KEY], kinds=frozenset({"parquet", "huggingface"}))
def hub_dataset(workspace: Workspace, partition: str) -> FolderBuild:
    """The pile as a data set in the layout of the Hugging Face hub: a card and shards by component.

    Made when asked: it is a second copy of the pile.
    """
    pile = workspace.lake.table(PILE_KEY)
    card = data_card(workspace)

    def make(folder: Path) -> tuple[Accounting, Mapping[str, Any]]:
        files = export_hub_dataset(pile.batches(), card=card, fs=fsspec.filesystem("file"), root=str(folder))
        n_rows = sum(file.n_rows for file in files)
        return Accounting(n_in=n_rows, n_kept=n_rows), {"export_files": len(files)}

    config = {"card": json.loads(json.dumps(render_data_card(card)))}
    return FolderBuild(recipe=Recipe(code_version=CODE_VERSION, inputs=input_versions(pile), config=config), make=make)


ASSETS: list[LakeAsset] = [mathcode_pile, data_card_asset, hub_dataset]
CHECKS = [
    residual_check(
        PILE_KEY,
        None,
        scans=[contamination_key(component.name) for component in COMPONENT_TABLES],
        shards=[f"clean/{component.name}" for component in COMPONENT_TABLES],
    )
]
