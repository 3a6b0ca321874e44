"""lm-evaluation-harness: its tasks made from our benchmarks, its models made from our specification.

For each benchmark two files are written: the prompts as JSON lines, exemplars included, and a task in the harness's
own YAML that reads them. So the harness loads the model, batches and decodes, its own command runs the same tasks
(`lm_eval --include_path FOLDER --tasks mathcode_gsm8k`), and what a prompt says and which answer is right stays here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mathcode_assets.evaluation.benchmarks import HARNESS, LIKELIHOOD, Benchmark
from mathcode_assets.evaluation.items import Item
from mathcode_assets.evaluation.prompts import choices_of, prompt_of, stops_of
from mathcode_assets.evaluation.spec import ModelSpec

TASK_PREFIX = "mathcode_"
_MODEL_CLASSES = {"hf": "hf", "vllm": "vllm", "openai": "local-completions"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The items of one benchmark with their prompts."""

    benchmark: Benchmark
    items: tuple[Item, ...]
    prompts: tuple[str, ...]
    max_new_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What came back for one item: a completion, or the right-or-wrong of a task of the harness's own."""

    question_index: int
    completion: str
    is_right: bool | None = None
    gold: str = ""


def asked(benchmark: Benchmark, items: Sequence[Item], *, n_shots: int, max_new_tokens: int | None) -> Asked:
    """The prompts of a benchmark's items.

    Args:
        benchmark: whose.
        items: to ask.
        n_shots: exemplars before each.
        max_new_tokens: an upper bound on the benchmark's own; None: its own.
    """
    bound = benchmark.max_new_tokens if max_new_tokens is None else min(max_new_tokens, benchmark.max_new_tokens)
    prompts = tuple(prompt_of(item, benchmark, n_shots) for item in items)
    return Asked(benchmark=benchmark, items=tuple(items), prompts=prompts, max_new_tokens=bound)


def task_name(benchmark: Benchmark) -> str:
    """The name the harness knows a benchmark by."""
    return benchmark.harness_task if benchmark.kind == HARNESS else TASK_PREFIX + benchmark.name


def task_config(request: Asked, rows_file: Path) -> dict[str, Any]:
    """The harness's task of one benchmark, as its YAML says it.

    Args:
        request: what is asked.
        rows_file: of `task_rows`.
    """
    common = {
        "task": task_name(request.benchmark),
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(rows_file)}},
        "test_split": "test",
        "doc_to_text": "prompt",  # a column: no template sees a question's own braces
        "num_fewshot": 0,  # the exemplars are in the prompt
        "metadata": {"version": 1},
    }
    if request.benchmark.kind == LIKELIHOOD:
        return {
            **common,
            "output_type": "multiple_choice",
            "doc_to_choice": "choices",
            "doc_to_target": "target",
            "target_delimiter": " ",
            "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        }
    return {
        **common,
        "output_type": "generate_until",
        "doc_to_target": "answer",
        "generation_kwargs": {
            "until": list(stops_of(request.benchmark)),
            "do_sample": False,
            "max_gen_toks": request.max_new_tokens,
        },
        "metric_list": [{"metric": "bypass"}],  # whether an answer is right is decided by `judging`
    }


def task_rows(request: Asked) -> list[dict[str, Any]]:
    """One row of the task's file for each item, in order."""
    rows = []
    for item, prompt in zip(request.items, request.prompts, strict=True):
        row: dict[str, Any] = {"question_index": item.question_index, "prompt": prompt, "answer": item.answer}
        if request.benchmark.kind == LIKELIHOOD:
            choices = list(choices_of(item, request.benchmark))
            row |= {"choices": choices, "target": choices.index(item.answer)}
        rows.append(row)
    return rows


def write_tasks(requests: Sequence[Asked], folder: Path) -> list[Path]:
    """Write each benchmark's rows and task; the task files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for request in requests:
        name = task_name(request.benchmark)
        rows_file = folder / f"{name}.jsonl"
        rows_file.write_text(
            "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in task_rows(request)), encoding="utf-8"
        )
        # JSON is YAML: nothing of a question is in it, and every YAML reader takes it.
        task_file = folder / f"{name}.yaml"
        task_file.write_text(json.dumps(task_config(request, rows_file), indent=2) + "\n", encoding="utf-8")
        written.append(task_file)
    return written


def model_arguments(model: ModelSpec, *, seed: int = 0) -> tuple[str, dict[str, Any]]:
    """Name of the harness's model class, and what it is made with."""
    common: dict[str, Any] = {"tokenizer": model.tokenizer, "max_length": model.max_length}
    if model.kind == "hf":
        common |= {
            "pretrained": model.path,
            "dtype": model.dtype,
            "device": model.device,
            "batch_size": model.batch_size,
            "add_bos_token": model.add_bos_token,
        }
    elif model.kind == "vllm":
        common |= {
            "pretrained": model.path,
            "dtype": model.dtype,
            "batch_size": "auto",
            "seed": seed,
            "add_bos_token": model.add_bos_token,
        }
    else:
        common |= {
            "model": model.path,
            "base_url": f"{(model.base_url or '').rstrip('/')}/completions",
            "tokenizer_backend": "huggingface",
            "tokenized_requests": False,
            "num_concurrent": model.batch_size,
            "max_retries": 3,
            "seed": seed,
        }
    return _MODEL_CLASSES[model.kind], {name: value for name, value in common.items() if value is not None}


def load_model(model: ModelSpec, *, seed: int) -> Any:
    """The harness's model object, loaded."""
    from lm_eval.api.registry import get_model

    name, arguments = model_arguments(model, seed=seed)
    return get_model(name)(**arguments)


def fitted(request: Asked, max_length: int | None) -> Asked:
    """The same with room for the prompt: never more than half the context goes to the completion."""
    if max_length is None or request.benchmark.kind in (LIKELIHOOD, HARNESS):
        return request
    return Asked(
        benchmark=request.benchmark,
        items=request.items,
        prompts=request.prompts,
        max_new_tokens=max(1, min(request.max_new_tokens, max_length // 2)),
    )


def n_prompts_cut(request: Asked, model: Any) -> int | None:
    """Prompts whose beginning the model does not see, because the harness cuts them on the left; None: unknown."""
    encode, max_length = getattr(model, "tok_encode", None), getattr(model, "max_length", None)
    if encode is None or not isinstance(max_length, int):
        return None
    room = max_length - request.max_new_tokens if request.benchmark.kind != LIKELIHOOD else max_length - 1
    return sum(len(encode(prompt)) > room for prompt in request.prompts)


def run(
    model: Any, requests: Sequence[Asked], own_tasks: Sequence[Benchmark], *, folder: Path, limit: int | None, seed: int
) -> dict[str, list[Answered]]:
    """Run everything through the harness; the answers of each benchmark, by its name.

    Args:
        model: of `load_model`.
        requests: our benchmarks.
        own_tasks: tasks the harness brings along.
        folder: where tasks and prompts are written.
        limit: items of each of its own tasks.
        seed: of the libraries.
    """
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    write_tasks(requests, folder)
    found: dict[str, list[Answered]] = {}
    runs = [([request.benchmark for request in requests], None, False), (list(own_tasks), limit, True)]
    for benchmarks, run_limit, include_defaults in runs:
        if not benchmarks:
            continue
        result = simple_evaluate(
            model=model,
            tasks=[task_name(benchmark) for benchmark in benchmarks],
            task_manager=TaskManager(include_path=str(folder), include_defaults=include_defaults),
            limit=run_limit,
            bootstrap_iters=0,
            log_samples=True,
            random_seed=seed,
            numpy_random_seed=seed,
            torch_random_seed=seed,
            fewshot_random_seed=seed,
        )
        assert result is not None, "only the first of several processes gets a result"
        for benchmark in benchmarks:
            samples = sorted(result["samples"][task_name(benchmark)], key=lambda sample: sample["doc_id"])
            found[benchmark.name] = [answered(benchmark, sample) for sample in samples]
    return found


def answered(benchmark: Benchmark, sample: Mapping[str, Any]) -> Answered:
    """One logged sample of the harness."""
    if benchmark.kind == HARNESS:
        return Answered(
            question_index=int(sample["doc_id"]),
            completion="",
            is_right=bool(sample[benchmark.metric]),
            gold=str(sample["target"]),
        )
    index = int(sample["doc"]["question_index"])
    if benchmark.kind == LIKELIHOOD:
        # One (log-likelihood, is greedy) for each choice; the first of equal ones, as the harness has it.
        likelihoods = [float(response[0]) for response in sample["filtered_resps"]]
        best = max(range(len(likelihoods)), key=lambda number: likelihoods[number])
        return Answered(question_index=index, completion=sample["doc"]["choices"][best])
    return Answered(question_index=index, completion=str(sample["resps"][0][0]))
