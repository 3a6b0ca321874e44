"""One evaluation from beginning to end, without Dagster.

    python -m mathcode_assets.evaluation.worker SPEC.json

Writes into the specification's `output`: `harness/` (tasks and prompts), `items.jsonl` (one row for each item, as
`records.SCORE_ITEM`), and last and at once `result.json`. Where there is a result.json, the evaluation is complete.
Exit status 0 with the result written, 2 for a specification or items that cannot be used.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mathcode_assets import __version__
from mathcode_assets.evaluation.answers import Extracted, extract_answer, extract_option
from mathcode_assets.evaluation.benchmarks import (
    HARNESS,
    LIKELIHOOD,
    OPTION_LETTER,
    PERPLEXITY,
    PROGRAM,
    WITH_ITEMS,
    Benchmark,
)
from mathcode_assets.evaluation.checkpoints import fingerprint, stamp
from mathcode_assets.evaluation.contaminated import read_contaminated
from mathcode_assets.evaluation.harness import Answered, Asked, asked, fitted, load_model, n_prompts_cut, run
from mathcode_assets.evaluation.held_out import HeldOutLoss, measure_harness_model, read_texts
from mathcode_assets.evaluation.items import Item, ItemsError, Loaded, choose, hub_items, local_items
from mathcode_assets.evaluation.judging import CheckedProgram, Pair, judge_answers, judge_letters, judge_programs
from mathcode_assets.evaluation.programs import passed_mark, program_of, solution_of, write_evalplus_samples
from mathcode_assets.evaluation.scoring import (
    BenchmarkScore,
    ItemKey,
    JudgedItem,
    is_contaminated,
    score_benchmark,
    score_held_out,
)
from mathcode_assets.evaluation.spec import EvaluationSpec, SpecError, load_spec, spec_to_dict
from mathcode_assets.records import REFUTED, VERIFIED
from mathcode_assets.verification.isolated import VerificationConfig

RESULT_FILE = "result.json"
ITEMS_FILE = "items.jsonl"
RESULT_VERSION = "evaluation/1"
# Libraries whose version may change a score.
_LIBRARIES = ("lm_eval", "transformers", "torch", "vllm", "datasets", "tokenizers")

# Runs prompts: (requests, tasks of the harness's own) -> answers by benchmark, prompts cut by benchmark.
Runner = Callable[[EvaluationSpec, Sequence[Asked], Sequence[Benchmark]], "Answers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the model answered.

    Attributes:
        by_benchmark: by the benchmark's name.
        n_cut: prompts that did not fit, by the same; None where unknown.
        max_new_tokens: of a completion, by the same, after fitting to the model's context.
        held_out: loss on held-out text, where the task perplexity is asked.
    """

    by_benchmark: Mapping[str, Sequence[Answered]]
    n_cut: Mapping[str, int | None]
    max_new_tokens: Mapping[str, int]
    held_out: HeldOutLoss | None = None


def evaluate(spec: EvaluationSpec, runner: Runner | None = None) -> dict[str, Any]:
    """Evaluate a model and write its result; the content of result.json.

    Args:
        spec: with absolute paths.
        runner: asks the model; default: lm-evaluation-harness.

    Raises:
        ItemsError: the items of a benchmark cannot be used.
        SpecError: the list of contaminated items cannot be read.
        SandboxUnavailable: answers cannot be judged in isolation here.
    """
    output = Path(spec.output)
    output.mkdir(parents=True, exist_ok=True)
    (output / RESULT_FILE).unlink(missing_ok=True)
    contaminated = read_contaminated(Path(spec.contaminated)) if spec.contaminated else frozenset()
    benchmarks = {benchmark.name: benchmark for benchmark in spec.benchmarks}
    loaded = {name: items_of(found, spec) for name, found in benchmarks.items() if found.kind in WITH_ITEMS}
    requests = [
        asked(
            benchmarks[name],
            choose(found.items, limit=spec.limit, seed=spec.seed),
            n_shots=spec.n_shots,
            max_new_tokens=spec.max_new_tokens,
        )
        for name, found in loaded.items()
    ]
    own_tasks = [benchmark for benchmark in benchmarks.values() if benchmark.kind == HARNESS]
    answers = (runner or ask_model)(spec, requests, own_tasks)
    by_request = {request.benchmark.name: request for request in requests}
    judged: list[JudgedItem] = []
    scores: list[BenchmarkScore] = []
    for benchmark in benchmarks.values():
        if benchmark.kind == PERPLEXITY:
            if answers.held_out is None:
                raise ItemsError("held_out: the text came back without a loss")
            scores.append(score_held_out(answers.held_out, paper_model=spec.paper_model))
            continue
        items = judge(
            benchmark, by_request.get(benchmark.name), answers.by_benchmark[benchmark.name], contaminated, spec
        )
        judged.extend(items)
        n_cut = answers.n_cut.get(benchmark.name)
        scores.append(score_benchmark(benchmark.name, items, paper_model=spec.paper_model, n_prompts_cut=n_cut))
    result = {
        "version": RESULT_VERSION,
        "model": model_facts(spec),
        "scores": [asdict(score) for score in scores],
        "prompts": {
            request.benchmark.name: prompt_facts(request, loaded[request.benchmark.name], answers)
            for request in requests
        },
        "held_out": answers.held_out.as_dict() if answers.held_out is not None else None,
        "libraries": library_versions(),
        "spec": spec_to_dict(spec),
    }
    write_atomically(output / ITEMS_FILE, "".join(json.dumps(asdict(item)) + "\n" for item in judged))
    write_atomically(output / RESULT_FILE, json.dumps(result, indent=2) + "\n")
    return result


def items_of(benchmark: Benchmark, spec: EvaluationSpec) -> Loaded:
    """The items there are: in the data folder, or on the hub."""
    return hub_items(benchmark) if spec.data is None else local_items(benchmark, Path(spec.data))


def ask_model(spec: EvaluationSpec, requests: Sequence[Asked], own_tasks: Sequence[Benchmark]) -> Answers:
    """Load the model and let lm-evaluation-harness ask it."""
    texts = read_texts(Path(spec.held_out)) if PERPLEXITY in spec.tasks and spec.held_out else []
    set_environment(spec, is_offline=(spec.data is not None or not requests) and not own_tasks)
    model = load_model(spec.model, seed=spec.seed)
    max_length = getattr(model, "max_length", None)
    requests = [fitted(request, max_length if isinstance(max_length, int) else None) for request in requests]
    n_cut = {request.benchmark.name: n_prompts_cut(request, model) for request in requests}
    folder = Path(spec.output) / "harness"
    by_benchmark = run(model, requests, own_tasks, folder=folder, limit=spec.limit, seed=spec.seed)
    held_out = measure_harness_model(model, texts, spec.window) if texts else None
    max_new_tokens = {request.benchmark.name: request.max_new_tokens for request in requests}
    return Answers(by_benchmark=by_benchmark, n_cut=n_cut, max_new_tokens=max_new_tokens, held_out=held_out)


def set_environment(spec: EvaluationSpec, *, is_offline: bool) -> None:
    """Settings the libraries read when they are imported; what the caller has set stays."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_DATASETS_CACHE", str(Path(spec.output) / "harness" / "cache"))
    if is_offline and (spec.model.kind == "openai" or Path(spec.model.path).is_dir()):
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
            os.environ.setdefault(name, "1")


def judge(
    benchmark: Benchmark,
    request: Asked | None,
    answers: Sequence[Answered],
    contaminated: frozenset[ItemKey],
    spec: EvaluationSpec,
) -> list[JudgedItem]:
    """Every answer of a benchmark with its verdict, in the order of its items.

    Raises:
        ItemsError: an item was not answered.
    """
    if request is None:
        return [_own_verdict(benchmark, answer) for answer in answers]
    by_index = {answer.question_index: answer.completion for answer in answers}
    missing = [item.question_index for item in request.items if item.question_index not in by_index]
    if missing:
        raise ItemsError(f"{benchmark.name}: {len(missing)} items came back without an answer, first {missing[0]}")
    completions = [by_index[item.question_index] for item in request.items]
    extracted = [extract(benchmark, item, text) for item, text in zip(request.items, completions, strict=True)]
    pairs = [Pair(gold=item.answer, answer=found.text) for item, found in zip(request.items, extracted, strict=True)]
    if benchmark.kind == PROGRAM:
        programs = [
            CheckedProgram(code=program_of(item, text), mark=passed_mark(item, text))
            for item, text in zip(request.items, completions, strict=True)
        ]
        verdicts = judge_programs(programs, n_workers=spec.n_workers)
        samples = Path(spec.output) / f"evalplus_{benchmark.name}.jsonl"
        write_evalplus_samples(samples, zip(request.items, completions, strict=True))
    elif benchmark.kind in (LIKELIHOOD, OPTION_LETTER):
        verdicts = judge_letters(pairs)
    else:
        verdicts = judge_answers(pairs, VerificationConfig(n_workers=spec.n_workers))
    return [
        JudgedItem(
            benchmark=benchmark.name,
            question_index=item.question_index,
            completion=text,
            answer=found.text,
            gold=item.answer,
            found_by=found.method,
            verdict=verdict.verdict,
            method=verdict.method,
            evidence=verdict.evidence,
            is_contaminated=is_contaminated(benchmark.name, item.question_index, contaminated),
        )
        for item, text, found, verdict in zip(request.items, completions, extracted, verdicts, strict=True)
    ]


def extract(benchmark: Benchmark, item: Item, completion: str) -> Extracted:
    """The answer a completion gives, by the benchmark's kind."""
    if benchmark.kind == PROGRAM:
        return Extracted(solution_of(item, completion), "program")
    if benchmark.kind == LIKELIHOOD:
        return Extracted(completion, "likelihood")
    if benchmark.kind == OPTION_LETTER:
        return extract_option(completion, len(item.options))
    return extract_answer(completion)


def _own_verdict(benchmark: Benchmark, answer: Answered) -> JudgedItem:
    return JudgedItem(
        benchmark=benchmark.name,
        question_index=answer.question_index,
        completion=answer.completion,
        answer=benchmark.metric,
        gold=answer.gold,
        found_by="harness",
        verdict=VERIFIED if answer.is_right else REFUTED,
        method=benchmark.metric,
        evidence="",
    )


def model_facts(spec: EvaluationSpec) -> dict[str, Any]:
    """Which model it was: its files, and the corpus its training stamped into it."""
    folder = Path(spec.model.path)
    stamped = stamp(folder)
    return {
        "name": spec.name,
        "kind": spec.model.kind,
        "fingerprint": fingerprint(folder),
        "corpus_fingerprint": stamped.get("corpus_fingerprint"),
        "config_hash": stamped.get("config_hash"),
        "lineage": stamped.get("lineage", {}),
    }


def prompt_facts(request: Asked, loaded: Loaded, answers: Answers) -> dict[str, Any]:
    """What was asked: a hash of all prompts, so that two results can be told to be of the same questions."""
    digest = hashlib.sha256("\0".join(request.prompts).encode("utf-8", "surrogatepass")).hexdigest()
    name = request.benchmark.name
    return {
        "sha256": digest,
        "n": len(request.prompts),
        "n_usable": len(loaded.items),
        "unusable": dict(loaded.unusable),
        "max_new_tokens": answers.max_new_tokens.get(name),
    }


def library_versions() -> dict[str, str]:
    """Versions of what is installed, this package's first."""
    found = {"mathcode_assets": __version__}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all, also after a crash."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    Path(stream.name).replace(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the specification named on the command line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if len(given) != 1:
        print("usage: python -m mathcode_assets.evaluation.worker SPEC.json", file=sys.stderr)
        return 2
    try:
        result = evaluate(load_spec(Path(given[0])))
    except (SpecError, ItemsError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    for score in result["scores"]:
        if score["perplexity"] is not None:
            print(f"{score['benchmark']}: {score['perplexity']:.3f}, {score['bits_per_byte']:.4f} bits per byte")
            continue
        print(f"{score['benchmark']}: {score['all']['n_right']} of {score['all']['n']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
