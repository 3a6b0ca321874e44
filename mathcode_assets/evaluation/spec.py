"""One evaluation as one file: which model, which benchmarks, how many items, where the result goes.

    {"model": {"kind": "hf", "path": "/models/proxy"}, "tasks": ["gsm8k", "math"], "data": "/data/benchmarks",
     "limit": 100, "output": "/results/proxy"}

JSON or YAML. Every mistake in it is one line that names the key, before a model is loaded.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mathcode_assets.evaluation import paper
from mathcode_assets.evaluation.benchmarks import (
    BENCHMARKS,
    DEFAULT_SHOTS,
    PERPLEXITY,
    PROGRAM,
    WITH_ITEMS,
    Benchmark,
    benchmark_of,
)
from mathcode_assets.evaluation.exemplars import EXEMPLARS
from mathcode_assets.strict_reader import SpecError, build, read_file

MAX_SHOTS = min(len(exemplars) for exemplars in EXEMPLARS.values())

# Long enough for most documents in one piece, and within every context of the paper's models.
DEFAULT_WINDOW = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """The model under test.

    Attributes:
        kind: hf (transformers, in this process), vllm (in this process), openai (a server's completions).
        path: folder of the checkpoint; for a server the name it serves the model under.
        base_url: of the server's API, e.g. http://127.0.0.1:8000/v1; no key is ever taken from here.
        tokenizer: folder; for a server, to count its tokens. Default: the checkpoint's.
        dtype: of the weights.
        device: for hf.
        batch_size: prompts at a time; for a server, requests at a time.
        max_length: tokens of prompt and completion; None: the model's own.
        add_bos_token: None: as the tokenizer does by itself. A model trained with a document's first token
            should see it here too.
    """

    kind: Literal["hf", "vllm", "openai"] = "hf"
    path: str
    base_url: str | None = None
    tokenizer: str | None = None
    dtype: str = "bfloat16"
    device: str = "cpu"
    batch_size: int = 1
    max_length: int | None = None
    add_bos_token: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSpec:
    """One evaluation.

    Attributes:
        model: what is measured.
        tasks: names in BENCHMARKS or `like`, each once.
        output: folder of result.json and items.jsonl.
        data: folder of local files `<benchmark>.jsonl`; None: the hub.
        limit: items of each benchmark, chosen by the seed; None: all.
        n_shots: exemplars before each question; the paper's 4.
        seed: of the choice of items and of the libraries. Decoding is greedy.
        max_new_tokens: an upper bound for every benchmark; None: each one's own.
        like: own benchmarks in `data`: name of task and file -> the known one it is asked and judged like.
        held_out: JSON lines or Parquet with `text`, for the task perplexity.
        window: most tokens of held-out text the model sees at a time; its own context if that is shorter.
        contaminated: file of JSON lines {benchmark, question_index}: items found in the training data.
        paper_model: whose numbers of the paper stand beside ours.
        label: name of the model in tables; empty: the last part of its path.
        n_workers: comparisons of answers side by side.
    """

    model: ModelSpec
    tasks: tuple[str, ...]
    output: str
    data: str | None = None
    limit: int | None = None
    n_shots: int = DEFAULT_SHOTS
    seed: int = 0
    max_new_tokens: int | None = None
    like: Mapping[str, str] = field(default_factory=dict)
    held_out: str | None = None
    window: int = DEFAULT_WINDOW
    contaminated: str | None = None
    paper_model: str = paper.DEFAULT_MODEL
    label: str = ""
    n_workers: int = 2
    lineage: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How tables call the model."""
        return self.label or self.model.path.rstrip("/").rpartition("/")[2]

    @property
    def benchmarks(self) -> list[Benchmark]:
        """What the tasks are, in order."""
        return [benchmark_of(task, self.like) for task in self.tasks]


def load_spec(path: Path) -> EvaluationSpec:
    """The specification of a JSON or YAML file; relative paths are relative to the file.

    Raises:
        SpecError: it cannot be read, or used.
    """
    try:
        return resolved(parse_spec(read_file(path)), folder=path.resolve().parent)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from error


def parse_spec(given: Any) -> EvaluationSpec:
    """The specification of a mapping, checked.

    Raises:
        SpecError: a key is unknown, missing or of the wrong type, or values do not fit together.
    """
    spec: EvaluationSpec = build(EvaluationSpec, given)
    _check(spec)
    return spec


def spec_to_dict(spec: EvaluationSpec) -> dict[str, Any]:
    """The specification as JSON values; `parse_spec` of it gives an equal one."""
    values = dataclasses.asdict(dataclasses.replace(spec, lineage=dict(spec.lineage), like=dict(spec.like)))
    return json.loads(json.dumps(values))


def resolved(spec: EvaluationSpec, *, folder: Path) -> EvaluationSpec:
    """The same with absolute paths. A model path that is no folder stays a repository id or a server's name."""

    def absolute(path: str | None) -> str | None:
        return None if path is None else str(folder / Path(path).expanduser())

    def local(path: str | None) -> str | None:
        found = absolute(path)
        return found if found is not None and Path(found).is_dir() else path

    model = dataclasses.replace(
        spec.model, path=local(spec.model.path) or spec.model.path, tokenizer=local(spec.model.tokenizer)
    )
    return dataclasses.replace(
        spec,
        model=model,
        data=absolute(spec.data),
        output=absolute(spec.output) or spec.output,
        contaminated=absolute(spec.contaminated),
        held_out=absolute(spec.held_out),
    )


def _check(spec: EvaluationSpec) -> None:
    for task, known in spec.like.items():
        if task in BENCHMARKS or known not in BENCHMARKS or BENCHMARKS[known].kind not in WITH_ITEMS:
            raise SpecError(f"like.{task}: wants a new name, and a benchmark with items of its own; got {known!r}")
    if spec.like and spec.data is None and any(task in spec.like for task in spec.tasks):
        raise SpecError("like: own benchmarks are files in the folder `data`")
    unknown = [task for task in spec.tasks if task not in BENCHMARKS and task not in spec.like]
    if unknown or not spec.tasks:
        raise SpecError(
            f"tasks: {', '.join(unknown) or 'none given'}; known are {', '.join([*BENCHMARKS, *spec.like])}"
        )
    if len(set(spec.tasks)) != len(spec.tasks):
        raise SpecError("tasks: one is given twice")
    if not 0 <= spec.n_shots <= MAX_SHOTS:
        raise SpecError(f"n_shots: wants 0 to {MAX_SHOTS}, got {spec.n_shots}")
    for name, value in (("limit", spec.limit), ("max_new_tokens", spec.max_new_tokens)):
        if value is not None and value < 1:
            raise SpecError(f"{name}: wants at least 1, got {value}")
    if PERPLEXITY in spec.tasks and (spec.held_out is None or spec.model.kind != "hf"):
        raise SpecError("held_out: the task perplexity wants a file of texts, and model.kind hf")
    if spec.window < 2:
        raise SpecError(f"window: wants at least 2 tokens, got {spec.window}")
    if spec.model.batch_size < 1 or spec.n_workers < 1:
        raise SpecError("model.batch_size and n_workers: want at least 1")
    if spec.paper_model not in paper.SCORES:
        raise SpecError(f"paper_model: {spec.paper_model!r} is not one of {', '.join(paper.SCORES)}")
    if not spec.model.path:
        raise SpecError("model.path: is empty")
    if spec.model.kind == "openai":
        if not (spec.model.base_url or "").startswith(("http://", "https://")):
            raise SpecError("model.base_url: wants the address of the server's API, e.g. http://127.0.0.1:8000/v1")
        if spec.model.tokenizer is None:
            raise SpecError("model.tokenizer: wants a folder; a server does not say how its tokens are counted")
    elif spec.model.base_url is not None:
        raise SpecError(f"model.base_url: has no meaning for kind {spec.model.kind}")


def needs_data(spec: EvaluationSpec) -> bool:
    """Whether any task reads items of ours, from `data` or the hub."""
    return any(benchmark.kind in WITH_ITEMS for benchmark in spec.benchmarks)


def needs_sandbox(spec: EvaluationSpec) -> bool:
    """Whether any task executes what the model wrote."""
    return any(benchmark.kind == PROGRAM for benchmark in spec.benchmarks)
