"""Evaluations from inside an asset: what the settings ask of a checkpoint, and the worker that asks it.

    settings:
      evaluation: {tasks: [math, gsm8k, perplexity], held_out: held_out.jsonl, limit: 200, model: {device: cuda}}

The worker is a process of its own (`evaluation.process`), so neither torch nor lm-evaluation-harness is loaded here.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mathcode_assets.config import SourcesFileError
from mathcode_assets.defs.assets.contamination import benchmark_partitions
from mathcode_assets.defs.launching import sources_folder
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.evaluation import paper
from mathcode_assets.evaluation.benchmarks import BENCHMARKS, DEFAULT_SHOTS, OPTION_LETTER, PERPLEXITY, WITH_ITEMS
from mathcode_assets.evaluation.process import run_worker
from mathcode_assets.evaluation.spec import DEFAULT_WINDOW, EvaluationSpec, SpecError, parse_spec, spec_to_dict
from mathcode_assets.evaluation.worker import ITEMS_FILE, RESULT_FILE
from mathcode_assets.sources.benchmarks import QUESTION_NAMES
from mathcode_assets.sources.formats import raw_records
from mathcode_assets.sources.partitions import Partition
from mathcode_assets.sources.raw_records import ReadLimits, Record
from mathcode_assets.storage.lake import Table
from mathcode_assets.storage.shards import file_sha256

SECTION = "evaluation"
# What the same answers do not depend on: places, names, and how fast it goes.
NOT_IN_THE_RECIPE = ("output", "data", "contaminated", "held_out", "paper_model", "label", "lineage", "n_workers")
FROM_THE_HUB = "hub"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """Section `evaluation` of the settings.

    tasks: names in evaluation.benchmarks or `like`; empty: the mathematics and code that there are local files of,
        and perplexity where there is held-out text.
    data: folder of `<benchmark>.jsonl`; empty: the benchmarks of the sources file, else the hub.
    like: own benchmark -> the known one it is asked and judged like, e.g. {our_exam: math}.
    held_out: JSON lines or Parquet with `text`, for perplexity: text that is not in the pile.
    window: most tokens of held-out text seen at a time.
    limit: items of each benchmark, chosen by the seed; None: all.
    n_shots, max_new_tokens, seed, n_workers: as in evaluation.spec.
    model: how the checkpoint is loaded: kind (hf, vllm, openai), device, dtype, batch_size, ...
    paper_model: whose numbers of the paper stand beside.
    python: interpreter with lm-eval; empty: MATHCODE_EVALUATION_PYTHON, else this one.
    """

    tasks: tuple[str, ...] = ()
    data: str = ""
    like: Mapping[str, str] = field(default_factory=dict)
    held_out: str = ""
    window: int = DEFAULT_WINDOW
    limit: int | None = None
    n_shots: int = DEFAULT_SHOTS
    max_new_tokens: int | None = None
    seed: int = 0
    n_workers: int = 2
    model: Mapping[str, Any] = field(default_factory=dict)
    paper_model: str = paper.DEFAULT_MODEL
    python: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What is asked, whoever answers.

    Attributes:
        spec: with stand-ins for the model and all folders; None: nothing is asked.
        versions: of the benchmark files and the held-out text that are read, by name.
        files: the benchmarks' partitions of the sources file that are read; None: a folder or the hub.
    """

    spec: EvaluationSpec | None
    versions: Mapping[str, str]
    files: tuple[Partition, ...] | None

    @property
    def tasks(self) -> tuple[str, ...]:
        """Their names."""
        return () if self.spec is None else self.spec.tasks

    def config(self) -> dict[str, Any]:
        """What the answers depend on, besides the versions and the model, as JSON values."""
        if self.spec is None:
            return {}
        values = spec_to_dict(self.spec)
        return {name: value for name, value in values.items() if name not in NOT_IN_THE_RECIPE}


def questions(workspace: Workspace, settings: EvaluationSettings) -> Questions:
    """What the settings ask.

    Raises:
        SourcesFileError: they cannot be used; names the key.
    """
    found = local_files(workspace, settings)
    versions = None if found is None else {name: version for name, (version, _) in found.items()}
    tasks = settings.tasks or default_tasks(settings, versions or {})
    if not tasks:
        return Questions(spec=None, versions={}, files=None)
    given = {
        "model": {"path": "checkpoint", **settings.model},
        "tasks": list(tasks),
        "output": "output",
        "data": None if versions is None else "data",
        "held_out": settings.held_out or None,
        **{name: getattr(settings, name) for name in _SAME_NAMES},
        "like": dict(settings.like),
    }
    if settings.model.get("kind") == "openai":
        given["model"].setdefault("tokenizer", "checkpoint")
    try:
        spec = parse_spec(given)
    except SpecError as error:
        raise SourcesFileError(f"{where(workspace)}.{error}") from error
    read: dict[str, str] = {}
    for benchmark in spec.benchmarks:
        if benchmark.kind in WITH_ITEMS and versions is not None and benchmark.file not in versions:
            raise SourcesFileError(
                f"{where(workspace)}.tasks: {benchmark.name}: there is no local file {benchmark.file}"
            )
        if benchmark.kind in WITH_ITEMS:
            read[f"benchmarks:{benchmark.file}"] = FROM_THE_HUB if versions is None else versions[benchmark.file]
    if PERPLEXITY in spec.tasks:
        read["held_out"] = _version(workspace, held_out_file(workspace, settings), "held_out")
    files = None
    if found is not None and not settings.data:
        files = tuple(partition for name, (_, partition) in found.items() if f"benchmarks:{name}" in read if partition)
    return Questions(spec=spec, versions=read, files=files)


_SAME_NAMES = ("limit", "n_shots", "max_new_tokens", "seed", "n_workers", "paper_model", "window")


def local_files(workspace: Workspace, settings: EvaluationSettings) -> dict[str, tuple[str, Partition | None]] | None:
    """Version of each local benchmark file by its name, with its partition of the sources file; None: the hub."""
    if settings.data:
        folder = sources_folder(workspace) / Path(settings.data).expanduser()
        if not folder.is_dir():
            raise SourcesFileError(f"{where(workspace)}.data: {folder} is no folder")
        return {path.stem: (file_sha256(path), None) for path in sorted(folder.glob("*.jsonl"))}
    partitions = benchmark_partitions(workspace)
    return {found.key: (found.fingerprint, found) for found in partitions} or None


def default_tasks(settings: EvaluationSettings, files: Iterable[str]) -> tuple[str, ...]:
    """Every benchmark that there is a file of, once, and perplexity where there is text for it."""
    known = set(files)
    tasks = [name for name, found in BENCHMARKS.items() if found.file in known and found.kind != OPTION_LETTER]
    tasks += [name for name in settings.like if name in known]
    return (*tasks, PERPLEXITY) if settings.held_out else tuple(tasks)


def held_out_file(workspace: Workspace, settings: EvaluationSettings) -> Path:
    """The held-out text; its path is relative to the sources file."""
    return sources_folder(workspace) / Path(settings.held_out).expanduser()


def ask(
    workspace: Workspace,
    settings: EvaluationSettings,
    asked: Questions,
    *,
    model: Path,
    label: str,
    lineage: Mapping[str, Any],
    keep: Path,
) -> dict[str, Any]:
    """Evaluate a checkpoint, and keep result.json, items.jsonl and the programs for EvalPlus in a folder.

    No path of this machine and no clock is in what is kept, so that the same answers give the same bytes.

    Args:
        workspace: for its disk.
        settings: which interpreter.
        asked: what.
        model: folder of the checkpoint.
        label: its name in tables.
        lineage: copied into the result.
        keep: an empty folder.

    Raises:
        EvaluationFailed: the worker died; with its last lines.
    """
    if asked.spec is None:
        result: dict[str, Any] = {
            "model": {"name": label, "fingerprint": None, "corpus_fingerprint": None},
            "scores": [],
            "prompts": {},
            "held_out": None,
            "libraries": {},
            "spec": {"seed": settings.seed, "n_shots": settings.n_shots, "lineage": dict(lineage)},
        }
        (keep / ITEMS_FILE).touch()
        _write_json(keep / RESULT_FILE, result)
        return result
    with workspace.work_folder() as work:
        spec = replace(
            asked.spec,
            model=_with_paths(asked.spec, str(model)),
            data=_data_folder(workspace, settings, asked, work),
            output=str(work / "output"),
            held_out=str(held_out_file(workspace, settings)) if PERPLEXITY in asked.tasks else None,
            label=label,
            lineage=dict(lineage),
        )
        result = run_worker(spec, python=settings.python)
        output = work / "output"
        for path in sorted(output.glob("*.jsonl")):
            shutil.copyfile(path, keep / path.name)
    # Places of this machine say nothing about the answers.
    result["spec"] |= {"output": "", "data": None if asked.spec.data is None else "local", "contaminated": None}
    result["spec"]["model"] |= {"path": label, "tokenizer": None}
    result["spec"]["held_out"] = Path(settings.held_out).name if PERPLEXITY in asked.tasks else None
    _write_json(keep / RESULT_FILE, result)
    return result


def result_facts(result: Mapping[str, Any], tasks: Iterable[str]) -> dict[str, Any]:
    """What of a result is worth keeping beside its scores: whose they are, and what exactly was asked."""
    held_out = result["held_out"]
    return {
        "tasks": list(tasks),
        "model": {name: value for name, value in result["model"].items() if name != "lineage"},
        "asked": {name: found["sha256"] for name, found in result["prompts"].items()}
        | ({PERPLEXITY: held_out["sha256"]} if held_out else {}),
        "unusable_items": {name: found["unusable"] for name, found in result["prompts"].items() if found["unusable"]},
        "libraries": result["libraries"],
    }


def linked_folder(workspace: Workspace, table: Table, into: Path) -> Path:
    """A published folder as a plain one: links where the lake is on the same disk, copies elsewhere."""
    try:
        for published, location in zip(table.manifest().files, table.files(), strict=True):
            if not location.is_local:
                return workspace.lake.fetch_folder(table, into)
            target = into / published.name.split("/", 1)[1]
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(location.path, target)
    except OSError:  # another disk, or one without links
        shutil.rmtree(into, ignore_errors=True)
        return workspace.lake.fetch_folder(table, into)
    return into


def where(workspace: Workspace) -> str:
    """The section as errors name it."""
    return f"{workspace.sources.name}: settings.{SECTION}"


def _with_paths(spec: EvaluationSpec, folder: str) -> Any:
    """The model of the specification, read from this folder; a server keeps the name it serves it under."""
    tokenizer = folder if spec.model.tokenizer == "checkpoint" else spec.model.tokenizer
    path = spec.model.path if spec.model.kind == "openai" else folder
    return replace(spec.model, path=path, tokenizer=tokenizer)


def _data_folder(workspace: Workspace, settings: EvaluationSettings, asked: Questions, work: Path) -> str | None:
    if settings.data:
        return str(sources_folder(workspace) / Path(settings.data).expanduser())
    if asked.files is None:
        return None
    folder = work / "data"
    folder.mkdir()
    for partition in asked.files:
        write_items(partition, folder / f"{partition.key}.jsonl")
    return str(folder)


def write_items(partition: Partition, path: Path) -> None:
    """A benchmark of the sources file, in whatever format it lies there, as the JSON lines that the worker reads.

    Records keep their number where they have no `idx`: it is what the contamination tables call them by.
    """
    with path.open("w", encoding="utf-8") as stream:
        for file in partition.files:
            for record in raw_records(file, ReadLimits(), needed=[QUESTION_NAMES]):
                if isinstance(record, Record):
                    fields = dict(record.fields)
                    if fields.get("idx") is None:
                        fields["idx"] = record.row
                    stream.write(json.dumps(fields, ensure_ascii=True, default=_as_text) + "\n")


def _as_text(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _version(workspace: Workspace, path: Path, key: str) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise SourcesFileError(f"{where(workspace)}.{key}: {path}: {error.strerror}") from error


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
