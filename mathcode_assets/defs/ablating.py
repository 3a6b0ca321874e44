"""What an ablation's settings ask for: the runs, their partitions, and the documents of each composition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from mathcode_assets.config import SourcesFileError
from mathcode_assets.defs.assets.consolidated import input_versions
from mathcode_assets.defs.assets.mixture import clean_tables, mixture_config
from mathcode_assets.defs.components import COMPONENT_TABLES, PILE_COMPONENTS, TRANSLATED_TABLES
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.evaluation.ablation import (
    AS_SEPARATE_DOCUMENTS,
    PAIRED_COMPONENT,
    AblationPlan,
    Composition,
    plan_ablation,
    slug,
)
from mathcode_assets.mixture.pile import fit_caps, mix, tokens_by_draw
from mathcode_assets.mixture.plan import MixtureConfig, MixturePlan, plan_mixture
from mathcode_assets.records import CLEAN_DOCUMENT
from mathcode_assets.storage.lake import Table

# Names of the partition definitions: one of compositions, one of runs (a composition and a seed).
COMPOSITIONS = "ablation_compositions"
RUNS = "ablation_runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationSettings:
    """Section `ablation` of the settings.

    seeds: of the proxy's training, a run for each; none: no ablation. Three are the fewest with a spread.
    compositions: only these, by name, e.g. [basic, basic+paired]; empty: all.
    minus_each: also the pile without each of its components.
    tokens: that each run reads, padding included, the same for all; 0: as long as the job says (the paper: 3 epochs,
        so that a larger corpus is read for longer).
    job: of the proxy; empty: that of section `training`. Who runs it is said there.
    tokenizer, length: of the proxy; empty and 0: those of section `tokenization`.
    tasks, limit: of the evaluation; empty: those of section `evaluation`, which says everything else about it.
    """

    seeds: tuple[int, ...] = ()
    compositions: tuple[str, ...] = ()
    minus_each: bool = True
    tokens: int = 0
    job: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: str = ""
    length: int = 0
    tasks: tuple[str, ...] = ()
    limit: int | None = None


def plan_of(workspace: Workspace) -> AblationPlan:
    """The compositions and runs that the settings ask for; none where they name no seeds.

    Components without a source, or with weight 0 in the pile, are no part of it.

    Raises:
        SourcesFileError: the settings name a composition that there is not, or seeds twice.
    """
    settings = workspace.settings("ablation", AblationSettings)
    if not settings.seeds:
        return AblationPlan(compositions=(), runs=())  # before the sources are listed
    mixture = mixture_config(workspace)
    components = [name for name in PILE_COMPONENTS if _has_source(workspace, name) and mixture.of(name).weight > 0]
    if not components:
        return AblationPlan(compositions=(), runs=())
    weights = {name: mixture.of(name).weight for name in components}
    where = f"{workspace.sources.name}: settings.ablation"
    try:
        plan = plan_ablation(components, seeds=settings.seeds, weights=weights, minus_each=settings.minus_each)
    except ValueError as error:
        raise SourcesFileError(f"{where}.{error}") from error
    known = [composition.name for composition in plan.compositions]
    unknown = [name for name in settings.compositions if name not in known]
    if unknown:
        raise SourcesFileError(f"{where}.compositions: {', '.join(unknown)}; there are {', '.join(known)}")
    wanted = settings.compositions or known
    return AblationPlan(
        compositions=tuple(found for found in plan.compositions if found.name in wanted),
        runs=tuple(run for run in plan.runs if run.composition.name in wanted),
    )


def _has_source(workspace: Workspace, component: str) -> bool:
    return any(workspace.partitions(table.source) for table in COMPONENT_TABLES if table.component == component)


def partition_keys(workspace: Workspace, partitioned_by: str) -> list[str]:
    """The partitions of a definition that there are now: of a source by its files, of the ablation by its plan."""
    if partitioned_by == COMPOSITIONS:
        return [slug(composition.name) for composition in plan_of(workspace).compositions]
    if partitioned_by == RUNS:
        return [run.name for run in plan_of(workspace).runs]
    return sorted(workspace.partitions(partitioned_by))


def is_on(workspace: Workspace) -> bool:
    """Whether the settings ask for an ablation."""
    return bool(plan_of(workspace).runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """A composition over the clean tables there are.

    Attributes:
        plan: weights after the caps.
        tables: clean partitions of the components that go in.
        separated: partitions of the separated form, in place of the paired one; none where it is paired.
    """

    plan: MixturePlan
    tables: Mapping[str, list[Table]]
    separated: tuple[Table, ...]

    def inputs(self) -> dict[str, str]:
        """Versions of all that is read."""
        return input_versions(*(table for group in self.tables.values() for table in group), *self.separated)


def corpus_of(workspace: Workspace, composition: Composition) -> Corpus:
    """The mixture of a composition: the pile's own settings, with the components left out at weight 0.

    Raises:
        Withheld: a clean partition is missing or out of date.
    """
    config = mixture_config(workspace)
    components = {name: replace(config.of(name), weight=composition.weights.get(name, 0.0)) for name in PILE_COMPONENTS}
    tables = clean_tables(workspace)
    totals = {name: sum(table.manifest().n_tokens or 0 for table in group) for name, group in tables.items()}
    plan = plan_mixture(totals, MixtureConfig(components=components, seed=config.seed))
    draws = {
        name: tokens_by_draw(_rows(tables[name], ["doc_id", "n_tokens"]), plan.seed)
        for name, component in plan.components.items()
        if component.capped_by
    }
    used = {name: group for name, group in tables.items() if components[name].weight > 0 and totals[name]}
    separated: tuple[Table, ...] = ()
    if composition.form == AS_SEPARATE_DOCUMENTS and PAIRED_COMPONENT in used:
        separated = tuple(
            table
            for translated in TRANSLATED_TABLES
            for table in workspace.tables(f"separated/{translated.translated_from}", translated.source)
        )
    return Corpus(plan=fit_caps(plan, draws), tables=used, separated=separated)


def documents_of(corpus: Corpus) -> Iterator[pa.RecordBatch]:
    """The documents of a composition, component by component, with doc_id and text."""
    streams = {name: _rows(group) for name, group in corpus.tables.items()}
    if corpus.separated:
        streams[PAIRED_COMPONENT] = separated_documents(corpus.tables[PAIRED_COMPONENT], corpus.separated)
    for batch in mix(streams, corpus.plan):
        yield batch.select(["doc_id", "text"])


def separated_documents(paired: list[Table], separated: tuple[Table, ...]) -> Iterator[pa.RecordBatch]:
    """The separated form of the documents that are clean in the paired one, and of no others.

    So both forms hold the same computations: what was dropped as a copy or as contaminated is dropped here too.
    Documents are recognised by the record they were made from.
    """
    columns = ["source", "source_file", "source_row"]
    kept = {tuple(row.values()) for batch in _rows(paired, columns) for row in batch.to_pylist()}
    for batch in _rows(list(separated)):
        keys = (tuple(row.values()) for row in batch.select(columns).to_pylist())
        chosen = batch.filter(pa.array([key in kept for key in keys], pa.bool_()))
        # Tokens are counted when they are packed; the plan has those of the paired form.
        n_tokens = pa.array([0] * chosen.num_rows, pa.int32())
        yield pa.RecordBatch.from_arrays([*chosen.columns, n_tokens], schema=CLEAN_DOCUMENT)


def _rows(tables: list[Table], columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    for table in tables:
        yield from table.batches(columns=columns)
