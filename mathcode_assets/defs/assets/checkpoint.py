"""checkpoint/*: a model trained on the packed pile, on this machine or on the GPU workers of a Ray cluster."""

from __future__ import annotations

import json
import math
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg

from mathcode_assets.config import SourcesFileError
from mathcode_assets.defs import currency
from mathcode_assets.defs.affected import LINEAGE_FACT
from mathcode_assets.defs.affected import lineage_of as corpus_lineage_of
from mathcode_assets.defs.assets.consolidated import input_versions
from mathcode_assets.defs.assets.mixture import PILE_KEY
from mathcode_assets.defs.assets.tokens import PACKED_KEY, TOKENS_KEY
from mathcode_assets.defs.launching import (
    Trained,
    TrainingSettings,
    is_asked_for,
    runs_folder,
    sources_folder,
    train,
    where,
)
from mathcode_assets.defs.live_metrics import current_context, plan_facts, show_plan
from mathcode_assets.defs.previews import markdown_table
from mathcode_assets.defs.table_assets import FolderBuild, LakeAsset, Outcome, TableCheck, table_asset
from mathcode_assets.defs.training_gate import TRAIN_WHEN
from mathcode_assets.defs.workspace import Withheld, Workspace
from mathcode_assets.storage.lake import Table
from mathcode_assets.storage.manifest import Accounting, Manifest, Recipe, digest
from mathcode_assets.training.model import STAMP_FILE
from mathcode_assets.training.packed import packing_info
from mathcode_assets.training.plan import GPUS, plan
from mathcode_assets.training.run_folder import write_json
from mathcode_assets.training.spec import (
    HASHED_SECTIONS,
    JobSpec,
    SpecError,
    config_hash,
    parse_spec,
    resolved,
    spec_to_dict,
    total_steps,
)

CODE_VERSION = "1"
GROUP = "training"
CHECKPOINT_KEY = "checkpoint/mathcode_pile"
SUMMARY_FILE = "training.json"
# Keys of the job specification that the graph fills in.
FILLED = ("data", "output", "lineage", "corpus_fingerprint")
CURVE_POINTS = 200
PREVIEW_POINTS = 12


def job_of(workspace: Workspace, settings: TrainingSettings, packed: Table) -> JobSpec:
    """The job of the settings on a packed table; its folders are filled in when it runs.

    The length of the sequences is written into it, so that the same corpus packed otherwise is another job.

    Raises:
        SourcesFileError: a mistake in the settings; names the file and the key.
        NotPublished: nothing is packed.
    """
    job = f"{where(workspace)}.job"
    facts = packed.manifest().facts
    for key in FILLED:
        if key in settings.job:
            raise SourcesFileError(f"{job}.{key}: is filled in by the graph")
    try:
        given = {**settings.job, "data": "packed", "output": "run", "corpus_fingerprint": facts["corpus_fingerprint"]}
        spec = parse_spec(given)
    except SpecError as error:
        raise SourcesFileError(f"{job}.{error}") from error
    if spec.model.sequence_length not in (None, facts["length"]):
        raise SourcesFileError(
            f"{job}.model.sequence_length: wants {spec.model.sequence_length}, but {packed.key} has sequences of "
            f"{facts['length']} tokens (settings.tokenization.length)"
        )
    spec = resolved(spec, folder=sources_folder(workspace))
    return replace(spec, model=replace(spec.model, sequence_length=facts["length"]))


def run_name(spec: JobSpec, packed: Table) -> str:
    """The folder of a run: one for each configuration, packed table and version of this code."""
    corpus = digest([CODE_VERSION, packed.manifest().data_version])
    return f"{config_hash(spec)[:16]}-{corpus[:8]}"


def packed_folder(workspace: Workspace, packed: Table, runs: Path) -> Path:
    """The packed table as a plain folder beside the runs, made once for each of its versions.

    Links where the lake is on the same disk, since its files never change; copies elsewhere.
    """
    target = runs / "data" / packed.manifest().data_version[:16]
    if target.is_dir():
        return target
    partial = target.with_name(f"{target.name}.{uuid.uuid4().hex[:8]}.partial")
    partial.mkdir(parents=True)
    try:
        if not _linked(packed, partial):
            shutil.rmtree(partial)
            workspace.lake.fetch_folder(packed, partial)
        try:
            partial.rename(target)
        except OSError:
            if not target.is_dir():  # made by somebody else meanwhile
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def lineage_of(workspace: Workspace, key: str, *tables: Table) -> dict[str, Any]:
    """What a checkpoint says it was made from: data and code versions, copied into every file that tells."""
    manifests = {table.key: table.manifest() for table in tables}
    return {
        "asset": key,
        "data_versions": {name: manifest.data_version for name, manifest in manifests.items()},
        "code_versions": {key: CODE_VERSION}
        | {name: manifest.recipe.code_version for name, manifest in manifests.items()},
    }


def summary_of(spec: JobSpec, trained: Trained) -> dict[str, Any]:
    """training.json: what the run came to. No clock and no path in it, so that the same run gives the same bytes."""
    metrics = trained.metrics
    losses = [line["loss"] for line in metrics]
    tenth = max(1, len(losses) // 10)
    result = trained.result.result
    return {
        "format": 1,
        "steps": result["steps"],
        "tokens": result["tokens"],
        "config_hash": result["config_hash"],
        "corpus_fingerprint": result["corpus_fingerprint"],
        "tokenizer_hash": result["tokenizer_hash"],
        "config": _without_folders(hashed_config(spec)),
        "lineage": result["lineage"],
        "first_loss": losses[0],
        "final_loss": losses[-1],
        "first_tenth_loss": math.fsum(losses[:tenth]) / tenth,
        "last_tenth_loss": math.fsum(losses[-tenth:]) / tenth,
        "loss_curve": [
            {name: line[name] for name in ("step", "loss", "learning_rate")} for line in spread(metrics, CURVE_POINTS)
        ],
    }


def hashed_config(spec: JobSpec) -> dict[str, Any]:
    """The parts of a specification that decide the outcome, readable; `config_hash` is over the same."""
    values = spec_to_dict(spec)
    return {name: values[name] for name in HASHED_SECTIONS} | {
        "sequences_per_step": spec.batch.sequences,
        "precision": spec.deepspeed.precision,
    }


def spread(values: Sequence[Any], n: int) -> list[Any]:
    """At most n of the values, evenly over them, the first and the last among them."""
    if len(values) <= n:
        return list(values)
    return [values[round(at * (len(values) - 1) / (n - 1))] for at in range(n)]


def published_json(table: Table, name: str) -> dict[str, Any]:
    """A JSON file of a published folder.

    Raises:
        FileNotFoundError: the folder has no such file.
    """
    for file, location in zip(table.manifest().files, table.files(), strict=True):
        if file.name.split("/", 1)[1] == name:
            return json.loads(location.read_bytes())
    raise FileNotFoundError(f"{table.key} has no {name}")


def curve_preview(workspace: Workspace, table: Table) -> dict[str, Any]:
    """The loss over the steps: some lines to read, and the curve as JSON."""
    curve = published_json(table, SUMMARY_FILE)["loss_curve"]
    rows = [
        (f"{line['step']:,}", f"{line['loss']:.4f}", f"{line['learning_rate']:.3g}")
        for line in spread(curve, PREVIEW_POINTS)
    ]
    return {
        "loss": dg.MetadataValue.md(markdown_table(["step", "loss", "learning rate"], rows)),
        "loss_curve": dg.MetadataValue.json(curve),
    }


def _finished(workspace: Workspace, table: Table, manifest: Manifest) -> Outcome:
    packed = workspace.lake.table(PACKED_KEY)
    spec = job_of(workspace, workspace.settings("training", TrainingSettings), packed)
    summary, stamp = published_json(table, SUMMARY_FILE), published_json(table, STAMP_FILE)
    planned = total_steps(spec, packed.manifest().facts["n_sequences"])
    losses = [summary["final_loss"], *(line["loss"] for line in summary["loss_curve"])]
    problems = []
    if summary["steps"] != planned:
        problems.append(f"{summary['steps']} steps made, {planned} planned")
    if not all(math.isfinite(loss) for loss in losses):
        problems.append("a loss is not finite")
    for name, wanted in (("corpus_fingerprint", spec.corpus_fingerprint), ("config_hash", config_hash(spec))):
        if stamp.get(name) != wanted:
            problems.append(f"stamped with {name} {str(stamp.get(name))[:12]}, not {str(wanted)[:12]}")
    return Outcome(
        passed=not problems,
        description="; ".join(problems) or "all planned steps made on the packed corpus there is, with these settings",
        metadata={"steps": summary["steps"], "planned_steps": planned, "final_loss": summary["final_loss"]},
    )


def _fell(workspace: Workspace, table: Table, manifest: Manifest) -> Outcome:
    summary = published_json(table, SUMMARY_FILE)
    first, last = summary["first_tenth_loss"], summary["last_tenth_loss"]
    return Outcome(
        passed=last < first,
        description=f"mean loss {first:.4f} in the first tenth of the steps, {last:.4f} in the last",
        metadata={"first_tenth_loss": first, "last_tenth_loss": last},
    )


TRAINING_FINISHED = TableCheck(
    name="training_finished",
    description="All planned steps are made, every loss is a number, and the export is stamped with the packed corpus "
    "and the configuration that there are now.",
    evaluate=_finished,
    blocking=True,
)
LOSS_FELL = TableCheck(
    name="loss_fell",
    description="The mean loss of the last tenth of the steps is below that of the first.",
    evaluate=_fell,
)


@table_asset(
    CHECKPOINT_KEY,
    group=GROUP,
    deps=[PACKED_KEY],
    checks=[TRAINING_FINISHED, LOSS_FELL],
    kinds=frozenset({"pytorch", "deepspeed"}),
    automation=TRAIN_WHEN,
    preview=curve_preview,
    is_wanted=is_asked_for,
    is_alone=lambda workspace: True,
)
def checkpoint(workspace: Workspace, partition: str) -> FolderBuild:
    """A model trained on the packed pile, as a directory that transformers and vLLM load, with its loss curve.

    The same corpus and configuration are never trained twice: a run that has finished is published again, one
    that was killed goes on from its last checkpoint. While it runs, its loss, learning rate and throughput are
    observations of this asset. Settings: section `training`.
    """
    packed = workspace.lake.table(PACKED_KEY)
    settings = workspace.settings("training", TrainingSettings)
    job = job_of(workspace, settings, packed)
    inputs = input_versions(packed)
    run_facts: dict[str, Any] = {}

    def make(folder: Path) -> tuple[Accounting, Mapping[str, Any]]:
        require_same(workspace, packed, inputs)
        runs = runs_folder(workspace, settings)
        data = packed_folder(workspace, packed, runs)
        tables = [workspace.lake.table(key) for key in (PACKED_KEY, TOKENS_KEY, PILE_KEY)]
        spec = replace(
            job,
            data=str(data),
            output=str(runs / "runs" / run_name(job, packed)),
            lineage=lineage_of(workspace, CHECKPOINT_KEY, *tables),
        )
        found = dry_run(workspace, settings, spec)
        trained = train(workspace, settings, spec, n_steps=found["planned_steps"])
        shutil.copytree(trained.result.export, folder, dirs_exist_ok=True)
        summary = summary_of(spec, trained)
        write_json(folder / SUMMARY_FILE, summary)
        run_facts.update(found | trained.run_facts())
        n_sequences = packed.manifest().facts["n_sequences"]
        names = ("steps", "tokens", "first_loss", "final_loss", "config_hash", "corpus_fingerprint")
        facts = {name: summary[name] for name in names} | {"learning_rate": spec.optimizer.learning_rate}
        # Which shards it has seen, kept here because the tables on the way there will be made again.
        facts[LINEAGE_FACT] = corpus_lineage_of(workspace, packed)
        return Accounting(n_in=n_sequences, n_kept=n_sequences), facts

    return FolderBuild(
        recipe=Recipe(code_version=CODE_VERSION, inputs=inputs, config=hashed_config(job)),
        make=make,
        run_facts=lambda: run_facts,
    )


def require_same(workspace: Workspace, packed: Table, inputs: Mapping[str, str]) -> None:
    """The packed table is what would be made of the sources now, and is the one that the recipe names.

    Raises:
        Withheld: it is not, or a blocking check above it is not passed; names what is behind.
    """
    context = current_context()
    currency.require_current(workspace, packed.key, instance=None if context is None else context.instance)
    if input_versions(packed) != inputs:
        raise Withheld(f"{packed.key} was published anew since this step began")


def dry_run(workspace: Workspace, settings: TrainingSettings, spec: JobSpec) -> dict[str, Any]:
    """Say what the job will cost, before anything is submitted; the figures.

    Raises:
        SourcesFileError: nothing says how large the model is, or the batch does not divide over the GPUs.
    """
    info = packing_info(Path(spec.data))
    peak_flops, gpu_memory = GPUS[settings.gpu]
    try:
        found = plan(
            spec,
            sequence_length=info["length"],
            n_sequences=info["n_sequences"],
            vocab_size=info["vocab_size"],
            gpu_memory=gpu_memory,
            peak_flops=peak_flops,
        )
    except SpecError as error:
        raise SourcesFileError(f"{where(workspace)}.job.{error}") from error
    show_plan(found, gpu=settings.gpu, on_gpu=spec.resources.gpus_per_process > 0)
    return plan_facts(found, settings.gpu)


def _without_folders(config: dict[str, Any]) -> dict[str, Any]:
    """A local model's folder by its name alone."""
    names = ("path", "tokenizer")
    local = {name: Path(value).name for name in names if Path(value := config["model"][name] or "").is_absolute()}
    return {**config, "model": config["model"] | local}


def _linked(packed: Table, folder: Path) -> bool:
    """Fill the folder with links to the table's files; False where that cannot be done."""
    try:
        for published, location in zip(packed.manifest().files, packed.files(), strict=True):
            if not location.is_local:
                return False
            target = folder / published.name.split("/", 1)[1]
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(location.path, target)
    except OSError:  # another disk, or one without links
        return False
    return True


ASSETS: list[LakeAsset] = [checkpoint]
