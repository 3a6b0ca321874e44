"""ablation/*: what each part of the pile is worth, as runs of a proxy model (paper section 4, Table 4).

    settings:
      ablation: {seeds: [3407, 3408, 3409], tokens: 2_000_000_000, job: {preset: deepseekcoder-1.3b}}

Off unless the settings name seeds. Nothing starts by itself: a person launches the jobs `ablation_corpora`,
`ablate` and `ablation_table` (or `mathcode run`, which makes all that the sources file asks for).
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from shutil import rmtree
from typing import Any

import dagster as dg
import pyarrow as pa

from mathcode_assets.defs.ablating import (
    COMPOSITIONS,
    RUNS,
    AblationSettings,
    corpus_of,
    documents_of,
    is_on,
    partition_keys,
    plan_of,
)
from mathcode_assets.defs.assets.checkpoint import (
    hashed_config,
    job_of,
    lineage_of,
    packed_folder,
    run_name,
)
from mathcode_assets.defs.assets.consolidated import input_versions
from mathcode_assets.defs.assets.mixture import CLEAN_SOURCES
from mathcode_assets.defs.assets.scores import SCORED, score_preview, score_rows_of
from mathcode_assets.defs.assets.sources import GROUP as SOURCES_GROUP
from mathcode_assets.defs.assets.sources import KIND, synchronise
from mathcode_assets.defs.assets.tokens import TokenizationSettings, described, encoder_of, pack_into
from mathcode_assets.defs.checks import PADDING, rows_add_up
from mathcode_assets.defs.components import TRANSLATED_TABLES
from mathcode_assets.defs.evaluating import EvaluationSettings, ask, questions, result_facts
from mathcode_assets.defs.launching import TrainingSettings, runs_folder, train
from mathcode_assets.defs.resources import WorkspaceResource
from mathcode_assets.defs.table_assets import FolderBuild, LakeAsset, Outcome, TableBuild, TableCheck
from mathcode_assets.defs.workspace import Withheld, Workspace
from mathcode_assets.evaluation.ablation import (
    Composition,
    ProxyRun,
    slug,
)
from mathcode_assets.evaluation.ablation_scores import ablation_rows, ablation_table
from mathcode_assets.evaluation.tables import score_batch
from mathcode_assets.records import ABLATION_SCORE, SCORE, batch_of
from mathcode_assets.storage.lake import Table
from mathcode_assets.storage.manifest import Accounting, Manifest, Recipe, digest
from mathcode_assets.tokenization.packing import PackingConfig
from mathcode_assets.training.spec import DurationSpec, JobSpec, total_steps

CODE_VERSION = "1"
GROUP = "ablation"
SOURCE_KEY = "source/ablation"
PACKED_KEY = "ablation/packed"
RUNS_KEY = "ablation/runs"
TABLE_KEY = "ablation/table"
SEPARATED_KEYS = [f"separated/{table.translated_from}" for table in TRANSLATED_TABLES]


@dg.observable_source_asset(
    key=dg.AssetKey(SOURCE_KEY.split("/")),
    group_name=SOURCES_GROUP,
    tags=KIND,
    description="The runs that the settings' section `ablation` asks for: adds and removes their partitions.",
)
def observe_ablation(context: dg.OpExecutionContext, workspace: WorkspaceResource) -> dg.DataVersion:
    """Make the dynamic partitions those of the plan."""
    opened = workspace.open()
    found = {name: partition_keys(opened, name) for name in (COMPOSITIONS, RUNS)}
    for name, keys in found.items():
        # Nothing trained is removed with a line of the settings: it is current again when the line is back.
        synchronise(context.instance, opened, source=name, fingerprints=dict.fromkeys(keys, ""), tables=[])
    return dg.DataVersion(digest(found))


# --- ablation/packed -------------------------------------------------------------------------------------------------


def _packed(workspace: Workspace, partition: str) -> FolderBuild:
    """The training sequences of one composition of the data, as `tokens/packed` is of the whole pile.

    Made once for all seeds. The separated form holds the computations of the paired one, in documents of their own.
    """
    from mathcode_assets.tokenization.documents import tokenize_documents

    composition = _named(plan_of(workspace).compositions, partition)
    settings = workspace.settings("ablation", AblationSettings)
    tokenization = workspace.settings("tokenization", TokenizationSettings)
    encoder = _encoder(workspace, settings, tokenization)
    corpus = corpus_of(workspace, composition)
    weights = {name: corpus.plan.components[name].weight for name in corpus.tables}
    # Of the content alone, not of the name: two names for the same documents are one corpus, and trained once.
    content = [encoder.tokenizer_hash, asdict(encoder.special), weights, corpus.plan.seed, corpus.inputs()]
    packing = PackingConfig(length=settings.length or tokenization.length)
    packed = described(encoder, content)

    def make(folder: Path) -> tuple[Accounting, Mapping[str, Any]]:
        tokens = tokenize_documents(documents_of(corpus), encoder)
        accounting, facts = pack_into(folder, tokens, encoder, corpus=packed, config=packing)
        return accounting, {**facts, "composition": composition.name, "weights": weights}

    return FolderBuild(
        recipe=Recipe(
            code_version=CODE_VERSION,
            inputs=corpus.inputs(),
            config={**asdict(packed), **asdict(packing), "composition": composition.name},
        ),
        make=make,
    )


def _encoder(workspace: Workspace, settings: AblationSettings, tokenization: TokenizationSettings) -> Any:
    if not settings.tokenizer:
        return encoder_of(workspace)
    from mathcode_assets.tokenization.encoder import load_encoder

    return load_encoder(settings.tokenizer, config=tokenization.special, fast=tokenization.fast)


def _named(compositions: tuple[Composition, ...], partition: str) -> Composition:
    for composition in compositions:
        if slug(composition.name) == partition:
            return composition
    raise Withheld(f"{PACKED_KEY}[{partition}]: the settings' ablation has no such composition")


# --- ablation/runs ---------------------------------------------------------------------------------------------------


def job_of_run(workspace: Workspace, run: ProxyRun, packed: Table) -> tuple[TrainingSettings, JobSpec]:
    """Who trains a run, and its job: the proxy's, with the run's seed and the token budget in steps."""
    settings = workspace.settings("ablation", AblationSettings)
    training = workspace.settings("training", TrainingSettings)
    training = replace(training, job={**(settings.job or training.job), "seed": run.seed})
    job = job_of(workspace, training, packed)
    if settings.tokens:
        steps = settings.tokens // (job.batch.sequences * packed.manifest().facts["length"])
        job = replace(job, duration=DurationSpec(steps=max(1, steps)))
    return training, job


def evaluation_settings(workspace: Workspace) -> EvaluationSettings:
    """The evaluation's settings with the ablation's tasks and limit, where it has its own."""
    settings = workspace.settings("ablation", AblationSettings)
    given = workspace.settings("evaluation", EvaluationSettings)
    return replace(given, tasks=settings.tasks or given.tasks, limit=settings.limit or given.limit)


def _run(workspace: Workspace, partition: str) -> TableBuild:
    """One proxy run: trained on its composition with its seed, and evaluated; one row is a benchmark.

    The trained model stays in its run folder (settings.training.runs): the same corpus and configuration are
    never trained twice, whatever is asked of the model later.
    """
    run = next((found for found in plan_of(workspace).runs if found.name == partition), None)
    if run is None:
        raise Withheld(f"{RUNS_KEY}[{partition}]: the settings' ablation has no such run")
    packed = workspace.lake.table(PACKED_KEY, slug(run.composition.name))
    training, job = job_of_run(workspace, run, packed)
    evaluation = evaluation_settings(workspace)
    asked = questions(workspace, evaluation)
    facts: dict[str, Any] = {"composition": run.composition.name, "seed": run.seed}
    run_facts: dict[str, Any] = {}

    def batches() -> Iterator[pa.RecordBatch]:
        runs = runs_folder(workspace, training)
        spec = replace(
            job,
            data=str(packed_folder(workspace, packed, runs)),
            output=str(runs / "runs" / run_name(job, packed)),
            lineage=lineage_of(workspace, RUNS_KEY, packed),
        )
        trained = train(workspace, training, spec, n_steps=total_steps(spec, packed.manifest().facts["n_sequences"]))
        # Optimizer states are several times the model, and nobody goes on with a proxy.
        rmtree(Path(spec.output) / "checkpoints", ignore_errors=True)
        with workspace.work_folder() as keep:
            result = ask(
                workspace,
                evaluation,
                asked,
                model=trained.result.export,
                label=run.composition.name,
                lineage={"composition": run.composition.name, "seed": run.seed, "run": run.name},
                keep=keep,
            )
        done = trained.result.result
        facts.update(
            {name: done[name] for name in ("config_hash", "corpus_fingerprint", "steps", "tokens", "final_loss")}
        )
        facts.update(result_facts(result, asked.tasks))
        run_facts.update(trained.run_facts())
        yield score_batch([result])

    return TableBuild(
        recipe=Recipe(
            code_version=CODE_VERSION,
            inputs={**input_versions(packed), **asked.versions},
            config={"training": hashed_config(job), "evaluation": asked.config(), "run": run.name},
        ),
        batches=batches,
        facts=lambda: facts,
        run_facts=lambda: run_facts,
    )


# --- ablation/table --------------------------------------------------------------------------------------------------


def _published_runs(workspace: Workspace) -> dict[str, Table]:
    tables = {run.name: workspace.lake.table(RUNS_KEY, run.name) for run in plan_of(workspace).runs}
    return {name: table for name, table in tables.items() if table.find_manifest() is not None}


def _table(workspace: Workspace, partition: str) -> TableBuild:
    """One row is a composition, a benchmark and a measure, over the seeds (the shape of the paper's Table 4).

    With the difference to basic. All runs were asked the same items, or there is no table.
    """
    runs = _published_runs(workspace)
    if not runs:
        raise Withheld(f"{TABLE_KEY}: no run of the ablation is published")
    manifests = {name: table.manifest() for name, table in runs.items()}
    _want_same_items(manifests)
    missing = [run.name for run in plan_of(workspace).runs if run.name not in runs]

    def batches() -> Iterator[pa.RecordBatch]:
        yield batch_of(ablation_rows([row for table in runs.values() for row in score_rows_of(table)]), ABLATION_SCORE)

    return TableBuild(
        recipe=Recipe(code_version=CODE_VERSION, inputs=input_versions(*runs.values()), config={"missing": missing}),
        batches=batches,
        facts=lambda: {"runs": list(runs), "missing_runs": missing},
    )


def _want_same_items(manifests: Mapping[str, Manifest]) -> None:
    """Raise unless every run was asked the same prompts and the same held-out text."""
    first, known = next(iter(manifests.items()))
    for name, manifest in manifests.items():
        if manifest.facts["asked"] != known.facts["asked"]:
            raise Withheld(f"{TABLE_KEY}: {name} was asked other items than {first}: make the older of them again")


def _table_preview(workspace: Workspace, table: Table) -> dict[str, Any]:
    return {"ablation": dg.MetadataValue.md(ablation_table(score_rows_of(table)))}


def _all_runs(workspace: Workspace, table: Table, manifest: Manifest) -> Outcome:
    missing, n_runs = manifest.facts["missing_runs"], len(manifest.facts["runs"])
    return Outcome(
        passed=not missing,
        description=f"{n_runs} runs" + (f"; not yet there: {', '.join(missing)}" if missing else ", none is missing"),
        metadata={"runs": n_runs, "missing_runs": len(missing)},
    )


ALL_RUNS = TableCheck(name="all_runs", description="Every run of the plan is in the table.", evaluate=_all_runs)

ASSETS: list[LakeAsset] = [
    LakeAsset(
        key=PACKED_KEY,
        build=_packed,
        group=GROUP,
        partitioned_by=COMPOSITIONS,
        deps=[SOURCE_KEY, *CLEAN_SOURCES, *SEPARATED_KEYS],
        whole_deps=[*CLEAN_SOURCES, *SEPARATED_KEYS],
        checks=[PADDING],
        kinds=frozenset({"numpy"}),
        is_wanted=is_on,
    ),
    LakeAsset(
        key=RUNS_KEY,
        build=_run,
        group=GROUP,
        schema=SCORE,
        partitioned_by=RUNS,
        deps=[PACKED_KEY, "source/benchmarks"],
        whole_deps=[PACKED_KEY],
        checks=[rows_add_up(SCORE), SCORED],
        kinds=frozenset({"pytorch", "deepspeed"}),
        preview=score_preview,
        is_wanted=is_on,
        is_alone=lambda workspace: True,
    ),
    LakeAsset(
        key=TABLE_KEY,
        build=_table,
        group=GROUP,
        schema=ABLATION_SCORE,
        deps=[RUNS_KEY],
        checks=[rows_add_up(ABLATION_SCORE), ALL_RUNS],
        kinds=frozenset({"parquet"}),
        preview=_table_preview,
        is_wanted=is_on,
    ),
]
SOURCES = [observe_ablation]
