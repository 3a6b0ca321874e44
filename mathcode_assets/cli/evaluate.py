"""`mathcode evaluate`: a checkpoint's scores beside the paper's, measured in an environment with lm-eval."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

from mathcode_assets.cli.console import UsageError, out


def add_commands(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "evaluate", help="a checkpoint, benchmarks -> scores with intervals beside the paper's"
    )
    parser.add_argument(
        "--spec", metavar="FILE", help="specification, JSON or YAML; the other options replace its values"
    )
    parser.add_argument("--model", metavar="DIR", help="folder of the checkpoint, or the name a server has for it")
    parser.add_argument("--server", metavar="URL", help="OpenAI-compatible API, e.g. http://127.0.0.1:8000/v1")
    parser.add_argument("--tokenizer", metavar="DIR", help="folder of the tokenizer; needed with --server")
    parser.add_argument("--tasks", metavar="A,B", help="benchmarks, e.g. gsm8k,math")
    parser.add_argument("--data", metavar="DIR", help="folder of <benchmark>.jsonl; without it the hub")
    parser.add_argument("--limit", type=int, metavar="N", help="items of each benchmark (default: all)")
    parser.add_argument("--shots", type=int, metavar="N", help="exemplars before each question (default 4)")
    parser.add_argument("--contaminated", metavar="FILE", help="JSON lines benchmark, question_index: reported apart")
    parser.add_argument("--output", metavar="DIR", help="for result.json, items.jsonl and scores.parquet")
    parser.add_argument(
        "--python",
        metavar="FILE",
        help="interpreter with lm-eval (default: MATHCODE_EVALUATION_PYTHON, or this)",
    )
    parser.set_defaults(run=evaluate)


def evaluate(arguments: argparse.Namespace) -> int:
    """Write the specification, run the worker in its environment, and print the table."""
    from mathcode_assets.evaluation.process import EvaluationFailed, run_worker
    from mathcode_assets.evaluation.spec import SpecError
    from mathcode_assets.evaluation.tables import paper_table, score_batch, score_rows
    from mathcode_assets.storage.rows import row_writer

    try:
        spec = specification(arguments)
    except SpecError as error:
        raise UsageError(str(error)) from error
    python = interpreter(arguments.python)
    try:
        result = run_worker(spec, python=python, is_shown=True)
    except EvaluationFailed as error:
        raise UsageError(str(error)) from error
    with row_writer(str(Path(spec.output) / "scores.parquet")) as append:
        append(score_batch([result]).to_pylist())
    out.print(paper_table(score_rows(result)), markup=False)
    return 0


def specification(arguments: argparse.Namespace) -> Any:
    """The specification of a file, with the values of options in place of its own.

    Raises:
        SpecError: it cannot be used.
        UsageError: neither a file nor a model, tasks and output are given.
    """
    from mathcode_assets.evaluation.spec import load_spec, parse_spec, resolved, spec_to_dict

    here = Path.cwd()
    if arguments.spec is None:
        missing = [name for name in ("model", "tasks", "output") if getattr(arguments, name) is None]
        if missing:
            raise UsageError(f"give --spec, or {', '.join('--' + name for name in missing)}")
        given: dict[str, Any] = {"model": {"path": arguments.model}, "tasks": [], "output": arguments.output}
    else:
        given = spec_to_dict(load_spec(Path(arguments.spec)))
    model = given["model"]
    if arguments.model is not None:
        model["path"] = arguments.model
    if arguments.tokenizer is not None:
        model["tokenizer"] = arguments.tokenizer
    if arguments.server is not None:
        model |= {"kind": "openai", "base_url": arguments.server}
    options = {
        "tasks": arguments.tasks.split(",") if arguments.tasks is not None else None,
        "data": arguments.data,
        "limit": arguments.limit,
        "n_shots": arguments.shots,
        "contaminated": arguments.contaminated,
        "output": arguments.output,
    }
    given |= {name: value for name, value in options.items() if value is not None}
    return resolved(parse_spec(given), folder=here)


def interpreter(given: str | None) -> str:
    """The interpreter the worker runs under.

    Raises:
        UsageError: none is named, and this one has no lm-eval.
    """
    from mathcode_assets.evaluation.process import PYTHON_VARIABLE

    named = given or os.environ.get(PYTHON_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise UsageError(f"{named}: no interpreter there")
        return named
    if importlib.util.find_spec("lm_eval") is None:
        raise UsageError(
            f"lm-eval is not installed here: infra/install_environment.sh DIR eval, then --python DIR/bin/python "
            f"or {PYTHON_VARIABLE}"
        )
    return sys.executable
