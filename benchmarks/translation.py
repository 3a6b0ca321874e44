"""Verified translation by rules on real text: what is found, what is verified, what a falsified text gets through.

    python -m benchmarks.translation passages ../shared/data          # 264 computations checked beforehand
    python -m benchmarks.translation web ../shared/data [--share 0.5] # whole documents: time, memory, verdicts

The second prints throughput and peak memory of all processes; run it with --share 0.5 and without to see how
memory grows with the input. Nothing here is compared with a peer: there is no other open implementation.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from mathcode_assets.defs.isolation import ExecutionConfig, Isolation
from mathcode_assets.mathematical_code.prompts import TranslationConfig
from mathcode_assets.mathematical_code.symbolic import NAME, SymbolicTranslator
from mathcode_assets.mathematical_code.translation import complete, computations_of, verified
from mathcode_assets.records import DOCUMENT, VERIFIED, batch_of
from mathcode_assets.sources.formats import raw_records
from mathcode_assets.sources.listing import list_inputs
from mathcode_assets.sources.raw_records import ReadLimits, Rejected
from mathcode_assets.verification.isolated import VerificationConfig

ROWS = 64
CONFIG = TranslationConfig(model=NAME.split("@")[0], model_revision=NAME.split("@")[1])
# Spacing means nothing, and a text may write it where the list of expressions does not.
SPACING = ("\\,", "\\;", "\\:", "\\!", "\\quad", "\\qquad", "\\left", "\\right", "~")


def batches(texts: Iterator[tuple[str, str]]) -> Iterator[pa.RecordBatch]:
    """DOCUMENT batches of (id, text)."""
    rows: list[dict[str, Any]] = []
    for number, (name, text) in enumerate(texts):
        empty = {field.name: "" for field in DOCUMENT}
        rows.append(empty | {"doc_id": f"{number:08x}", "source_id": name, "source_row": number, "text": text})
        if len(rows) == ROWS:
            yield batch_of(rows, DOCUMENT)
            rows = []
    if rows:
        yield batch_of(rows, DOCUMENT)


def chain(isolation: Isolation, texts: Any) -> Iterator[dict[str, Any]]:
    """Every computation of the texts with its verdict; `texts()` gives them anew for each step that reads them."""
    completions = complete(batches(texts()), SymbolicTranslator(), CONFIG)
    found = computations_of(batches(texts()), completions)
    for batch in verified(batches(texts()), found, isolation.execute, isolation.verify):
        yield from batch.to_pylist()


def bare(latex: str) -> str:
    """LaTeX without white space and spacing commands."""
    for command in SPACING:
        latex = latex.replace(command, "")
    return "".join(latex.split()).strip("$.,;")


def falsified(expression: dict[str, Any]) -> str:
    """Another result: one more, which is false of every finite value and every identity."""
    return f"{expression['result']} + 1"


def passages(data: Path, isolation: Isolation) -> None:
    """Found and verified among the given expressions, in the true and in the falsified texts."""
    given = [json.loads(line) for line in (data / "passages" / "passages.jsonl").read_text().split("\n") if line]
    n_given = sum(len(passage["expressions"]) for passage in given)
    rows = list(chain(isolation, lambda: ((p["id"], p["text"]) for p in given)))
    counts = Counter(row["verdict"] for row in rows)
    hits = sum(_is_verified(rows, p["id"], e, e["result"]) for p in given for e in p["expressions"])
    print(f"computations {len(rows)}: {dict(counts)}")
    print(f"given expressions found and verified: {hits} of {n_given} ({hits / n_given:.1%})")
    wrong = [(p["id"], e, _falsified_text(p["text"], e)) for p in given for e in p["expressions"]]
    wrong = [(f"{name}#{i}", e, text) for i, (name, e, text) in enumerate(wrong) if text]
    rows = list(chain(isolation, lambda: ((name, text) for name, _, text in wrong)))
    accepted = [e for name, e, _ in wrong if _is_verified(rows, name, e, falsified(e))]
    print(f"falsified texts {len(wrong)}: {len(accepted)} verified")
    for expression in accepted:
        print("  ", expression["latex"], "=", falsified(expression))


def _falsified_text(text: str, expression: dict[str, Any]) -> str:
    full, result = expression["full"], expression["result"]
    if full not in text or not full.endswith(result):
        return ""
    return text.replace(full, full[: -len(result)] + falsified(expression))


def _is_verified(rows: list[dict[str, Any]], name: str, expression: dict[str, Any], result: str) -> bool:
    return any(
        row["source_id"] == name
        and row["verdict"] == VERIFIED
        and bare(expression["latex"]) in bare(row["expression"])
        and bare(row["result"]) == bare(result)
        for row in rows
    )


def web_texts(data: Path, share: float) -> Iterator[tuple[str, str]]:
    """The documents of the web sources; a share of each file."""
    for pattern in ("open_web_math/data/*.parquet", "cc_en/*.jsonl.zst"):
        for file in list_inputs(str(data / pattern)):
            for record in raw_records(file, ReadLimits(), needed=(), present=[["text"]]):
                if not isinstance(record, Rejected) and record.row % 100 < share * 100 and record.fields.get("text"):
                    yield f"{file.relative_path}#{record.row}", record.fields["text"]


def web(data: Path, isolation: Isolation, share: float, output: Path | None) -> None:
    """Every web document through the whole chain."""
    started, verdicts, methods, statuses = time.perf_counter(), Counter[str](), Counter[str](), Counter[str]()
    documents = sum(1 for _ in web_texts(data, share))
    kept = output.open("w") if output else None
    for row in chain(isolation, lambda: web_texts(data, share)):
        verdicts[row["verdict"]] += 1
        methods[f"{row['verdict']}: {row['method']}"] += 1
        statuses[row["status"]] += 1
        if kept:
            kept.write(json.dumps(row) + "\n")
    seconds = time.perf_counter() - started
    isolation.close()  # so that the workers' memory is counted
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    n = sum(verdicts.values())
    print(f"{documents} documents, {n} computations in {seconds / 60:.1f} min: {n / seconds:.0f} computations/s")
    print(f"peak memory: {peak:.0f} MiB here, {worker:.0f} MiB in the largest worker")
    print("verdicts", dict(verdicts), "statuses", dict(statuses))
    for name, count in methods.most_common(30):
        print(f"  {name:<40}{count:>8}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("passages", "web"))
    parser.add_argument("data", type=Path)
    parser.add_argument("--share", type=float, default=1.0, help="of the documents, in (0, 1]")
    parser.add_argument("--output", type=Path, help="web: also write every computation, as jsonl")
    arguments = parser.parse_args()
    isolation = Isolation(ExecutionConfig(), VerificationConfig())
    try:
        if arguments.what == "passages":
            passages(arguments.data, isolation)
        else:
            web(arguments.data, isolation, arguments.share, arguments.output)
    finally:
        isolation.close()


if __name__ == "__main__":
    main()
