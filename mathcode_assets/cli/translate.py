"""`mathcode translate`: passages to computations, by rules or by a model."""

from __future__ import annotations

import argparse
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict
from itertools import tee
from pathlib import Path
from typing import Any

import pyarrow as pa

from mathcode_assets.cli.console import UsageError, err, out
from mathcode_assets.cli.stages import TEXT, Input, chunks
from mathcode_assets.llm.config import BATCH, OPENAI, REPLAY, VLLM, GeneratorConfig, Limits, OpenedGenerator
from mathcode_assets.llm.generator import Parameters
from mathcode_assets.llm.ledger import Prices
from mathcode_assets.llm.vllm_offline import EngineConfig
from mathcode_assets.mathematical_code.prompts import OCTAVE, PYTHON, SINGLE_CALL, STRUCTURED, TranslationConfig
from mathcode_assets.storage.rows import row_writer

SYMBOLIC = "symbolic"
SUBMIT, COLLECT = "submit", "collect"
COLUMNS = (
    "computation", "conditions", "expression", "result", "language", "code", "generator", "problem", "raw",
    "span_start", "span_end",
)  # fmt: skip


def add_commands(commands: Any) -> None:
    """Add the subcommand of this module."""
    parser = commands.add_parser("translate", help="rows id, text -> conditions, expression, result, code")
    parser.add_argument("--input", required=True, metavar="X", help="file, folder or glob, local or s3://")
    parser.add_argument("--output", required=True, metavar="Y")
    kinds = (SYMBOLIC, OPENAI, VLLM, BATCH, REPLAY)
    parser.add_argument("--generator", required=True, choices=kinds, help="symbolic: rules, without a model")
    parser.add_argument("--model", default="", help="as the server names it; for vllm a folder or a name")
    parser.add_argument("--revision", default="", help="of the model; part of what a cached answer is found by")
    parser.add_argument("--base-url", default="", metavar="URL", help="of the server, e.g. http://127.0.0.1:8000/v1")
    parser.add_argument("--api-key-env", default="OPENAI_API_KEY", metavar="NAME", help="variable that holds the key")
    parser.add_argument("--replay", default="", metavar="FILE", help="recorded answers, or the folder of a cache")
    parser.add_argument("--prompt", choices=(SINGLE_CALL, STRUCTURED), default=SINGLE_CALL)
    parser.add_argument("--language", choices=(PYTHON, OCTAVE), default=PYTHON, help="of the programs")
    parser.add_argument("--max-tokens", type=int, default=2048, metavar="N", help="of an answer (default 2048)")
    parser.add_argument("--concurrency", type=int, default=64, metavar="N", help="requests under way (default 64)")
    parser.add_argument("--max-model-len", type=int, default=0, metavar="N", help="vllm: tokens of prompt and answer")
    parser.add_argument("--cache", metavar="DIR", help="where answers are kept (default: Y.generation)")
    parser.add_argument("--budget-tokens", type=int, default=0, metavar="N", help="spend no more; start again to go on")
    parser.add_argument("--budget-price", type=float, default=0.0, metavar="P", help="the same, by the prices")
    parser.add_argument("--input-price", type=float, default=0.0, metavar="P", help="for a million prompt tokens")
    parser.add_argument("--output-price", type=float, default=0.0, metavar="P", help="for a million answered tokens")
    parser.add_argument("--dry-run", action="store_true", help="only estimate requests, tokens and price")
    parser.add_argument("--step", choices=(SUBMIT, COLLECT), help="batch: send written files; fetch what has ended")
    parser.set_defaults(run=translate)


def translate(arguments: argparse.Namespace) -> int:
    """One row for each computation, in the order of the input."""
    from mathcode_assets.llm.budget import BudgetExhausted
    from mathcode_assets.llm.config import open_generator
    from mathcode_assets.mathematical_code.symbolic import SymbolicTranslator

    generation, config = _configs(arguments)
    folder = Path(arguments.cache or f"{arguments.output}.generation")
    with open_generator(generation, folder=folder, extra={SYMBOLIC: lambda _: SymbolicTranslator()}) as opened:
        if arguments.step:
            return _batch_step(arguments.step, folder, generation, opened)
        rows = Input(arguments.input, TEXT)
        if arguments.dry_run:
            return _estimate(rows, generation, config, opened)
        try:
            n_unsettled = _write(rows, arguments.output, config, opened)
        except BudgetExhausted as stop:
            raise UsageError(f"{stop}; nothing written, answers kept in {folder}") from stop
        if arguments.generator != SYMBOLIC:
            _print_costs(opened)
    if n_unsettled:
        err.print(f"{n_unsettled} passages have no answer yet; start again to ask only for these", markup=False)
    return 1 if n_unsettled else rows.status()


def _configs(arguments: argparse.Namespace) -> tuple[GeneratorConfig, TranslationConfig]:
    from mathcode_assets.mathematical_code.symbolic import NAME

    model, revision = NAME.split("@") if arguments.generator == SYMBOLIC else (arguments.model, arguments.revision)
    parameters = Parameters(max_tokens=arguments.max_tokens)
    try:
        generation = GeneratorConfig(
            generator=arguments.generator,
            model=model,
            model_revision=revision,
            base_url=arguments.base_url,
            api_key_env=arguments.api_key_env,
            replay=arguments.replay,
            parameters=parameters,
            limits=Limits(concurrency=arguments.concurrency),
            engine=EngineConfig(max_model_len=arguments.max_model_len),
            prices=Prices(input_per_million=arguments.input_price, output_per_million=arguments.output_price),
            budget_price=arguments.budget_price,
            budget_tokens=arguments.budget_tokens,
        )
        config = TranslationConfig(
            model=model,
            model_revision=revision,
            prompt=arguments.prompt,
            language=arguments.language,
            parameters=parameters,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    return generation, config


def _documents(rows: Input, ids: deque[tuple[str, Any]] | None = None) -> Iterator[pa.RecordBatch]:
    """doc_id and text; a doc_id is the row's number, and `ids` remembers which id stands behind it."""
    number = 0
    for chunk in chunks(rows):
        names = [str(number + place) for place in range(len(chunk))]
        number += len(chunk)
        if ids is not None:
            ids.extend((name, row["id"]) for name, row in zip(names, chunk, strict=True))
        texts = pa.array([row["text"] for row in chunk], pa.large_string())
        yield pa.RecordBatch.from_arrays([pa.array(names, pa.string()), texts], names=["doc_id", "text"])


def _write(rows: Input, output: str, config: TranslationConfig, opened: OpenedGenerator) -> int:
    """Write the computations; returns how many passages have no answer yet."""
    from mathcode_assets.mathematical_code.translation import complete, computations_of

    ids: deque[tuple[str, Any]] = deque()
    counts: Counter[str] = Counter()
    asked, read_beside = tee(_documents(rows, ids))
    completions = complete(asked, opened.generator, config)
    with row_writer(output) as append:
        for batch in computations_of(read_beside, completions):
            found = []
            for row in batch.to_pylist():
                while ids[0][0] != row["doc_id"]:
                    ids.popleft()
                counts["with a problem" if row["problem"] else "computations"] += 1
                found.append({"id": ids[0][1]} | {name: row[name] for name in COLUMNS})
            append(found)
    out.print(", ".join(f"{what} {n}" for what, n in sorted(counts.items())) or "no computations", markup=False)
    return opened.meter.run.deferred


def _estimate(rows: Input, generation: GeneratorConfig, config: TranslationConfig, opened: OpenedGenerator) -> int:
    from mathcode_assets.llm.budget import estimate
    from mathcode_assets.mathematical_code.translation import requests_of

    requests = (request for _, _, request in requests_of(_documents(rows), config))
    cached = opened.meter.cache
    found = estimate(requests, prices=generation.prices, **({"cached": cached} if cached is not None else {}))
    for name, value in asdict(found).items():
        if value is not None:
            out.print(f"{name:<28}{value}", markup=False)
    return rows.status()


def _batch_step(step: str, folder: Path, generation: GeneratorConfig, opened: OpenedGenerator) -> int:
    from openai import OpenAIError

    from mathcode_assets.llm.batch_service import collect, submit

    if generation.generator != BATCH:
        raise UsageError(f"--step {step} belongs to --generator {BATCH}")
    try:
        if step == SUBMIT:
            out.print(f"batches started: {', '.join(submit(folder / 'batch', generation.server)) or 'none'}")
            return 0
        found = collect(folder / "batch", generation.server, opened.meter)
    except OpenAIError as error:
        raise UsageError(f"{generation.base_url}: {error}") from error
    out.print(f"{found.answers} answers collected, {found.waiting} batches under way", markup=False)
    for rejected in found.rejected:
        err.print(f"rejected: {rejected}", markup=False)
    return 1 if found.rejected else 0


def _print_costs(opened: OpenedGenerator) -> None:
    """What this run and all runs asked and paid, one line each."""
    for what, usage in (("this run", opened.meter.run), ("all runs", opened.meter.total)):
        price = opened.prices.worst(usage)
        paid = f", at most {price:.4f} {opened.prices.currency}" if price else ""
        out.print(
            f"{what}: {usage.attempts} attempts ({usage.attempts_unknown} of unknown billing), "
            f"{usage.answered} answered, {usage.cached} from the cache, {usage.failed} failed, "
            f"{usage.prompt_tokens} + {usage.completion_tokens} tokens{paid}",
            markup=False,
        )
